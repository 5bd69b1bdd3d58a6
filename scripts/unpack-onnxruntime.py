"""Takes ONNX Runtime's library and licences out of its wheel: unpack-onnxruntime.py WHEEL FOLDER [LINK]

LINK is the library's name without its version, libonnxruntime.so where none is given.
"""
import pathlib
import sys
import zipfile

wheel, out = map(pathlib.Path, sys.argv[1:3])
link = sys.argv[3] if len(sys.argv) > 3 else "libonnxruntime.so"
out.mkdir()
with zipfile.ZipFile(wheel) as archive:
    for name in archive.namelist():
        path = pathlib.PurePosixPath(name)
        if path.match("onnxruntime/capi/libonnxruntime*") or path.match("onnxruntime/[LT]*"):  # licence, third-party notices
            (out / path.name).write_bytes(archive.read(name))
stem, suffix = link.split(".")
(library,) = (path for path in out.iterdir() if path.name.startswith(stem + ".") and suffix in path.name)
(out / link).symlink_to(library.name)
