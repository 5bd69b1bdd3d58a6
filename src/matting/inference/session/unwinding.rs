// SPDX-License-Identifier: MIT

//! Which unwinder the C++ exceptions of this process go through.
//!
//! Debian's GStreamer brings libunwind, which has functions of the same names as libgcc. A library that is
//! opened takes them from whichever the process's global scope has first. Exceptions cross three parties: the
//! library, libstdc++, which throws for it, and the unwinder; where libstdc++ uses one unwinder and the library
//! another, or an unwinder some functions of the other, the first exception ends the process. ONNX Runtime's own
//! are thrown and caught whenever a network is wrong, and those of some providers all the time.
//!
//! - A program such as `gst-launch-1.0` has libunwind in its global scope, and libstdc++ comes with ONNX Runtime:
//!   both take libunwind. That is well, as long as nobody interferes.
//! - Python has opened libstdc++ for some module before, at once bound to libgcc, and libunwind came into the
//!   global scope after that. Then ONNX Runtime has to take its functions from its own dependencies first.

use std::ffi::{CStr, c_int, c_void};

use libc::{Elf64_Rela, Elf64_Sym, dl_phdr_info};

/// What libstdc++ throws with.
const RAISE: &CStr = c"_Unwind_RaiseException";

/// Tags of a library's dynamic section, as in `elf.h`.
const DT_STRTAB: i64 = 5;
const DT_SYMTAB: i64 = 6;
const DT_PLTRELSZ: i64 = 2;
const DT_JMPREL: i64 = 23;

/// An entry of a library's dynamic section.
#[repr(C)]
struct Dynamic {
    tag: i64,
    value: u64,
}

/// Whether libstdc++ is bound to an unwinder that is not the first of the global scope.
pub fn is_bound_elsewhere() -> bool {
    let mut bound: Option<usize> = None;
    // SAFETY: the callback gets what `dl_iterate_phdr` promises, and `bound` outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(look), (&raw mut bound).cast()) };
    // SAFETY: a search by name.
    let global = unsafe { libc::dlsym(libc::RTLD_DEFAULT, RAISE.as_ptr()) } as usize;
    bound.is_some_and(|bound| global != 0 && bound != global)
}

/// Leaves in `data`, an `Option<usize>`, what libstdc++ is bound to, if it is there and bound already.
unsafe extern "C" fn look(info: *mut dl_phdr_info, _size: usize, data: *mut c_void) -> c_int {
    // SAFETY: as `dl_iterate_phdr` promises for as long as the callback runs.
    unsafe {
        let name = (*info).dlpi_name;
        if name.is_null() || !CStr::from_ptr(name).to_bytes().windows(9).any(|w| w == b"libstdc++")
        {
            return 0;
        }
        *data.cast::<Option<usize>>() = slot(&*info);
    }
    1
}

/// The address in the slot of a library by which it calls [`RAISE`], unless that is still to be found when it is
/// first called.
///
/// # Safety
/// `info` describes a library that is loaded, and stays so.
unsafe fn slot(info: &dl_phdr_info) -> Option<usize> {
    let base = info.dlpi_addr as usize;
    // SAFETY: the caller's promise: the headers, and the tables to which they lead, are mapped. The dynamic
    // section ends with a tag of 0; glibc has made its addresses absolute.
    unsafe {
        let headers = std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum));
        let dynamic = headers.iter().find(|header| header.p_type == libc::PT_DYNAMIC)?;
        let mut entry = (base + dynamic.p_vaddr as usize) as *const Dynamic;
        let (mut symbols, mut names, mut relocations, mut bytes) = (None, None, None, 0);
        while (*entry).tag != 0 {
            let value = (*entry).value as usize;
            match (*entry).tag {
                DT_SYMTAB => symbols = Some(value as *const Elf64_Sym),
                DT_STRTAB => names = Some(value),
                DT_JMPREL => relocations = Some(value as *const Elf64_Rela),
                DT_PLTRELSZ => bytes = value,
                _ => {}
            }
            entry = entry.add(1);
        }
        let (symbols, names) = (symbols?, names?);
        let count = bytes / size_of::<Elf64_Rela>();
        let relocations = std::slice::from_raw_parts(relocations?, count);
        let is_raise = |relocation: &&Elf64_Rela| {
            let symbol = symbols.add((relocation.r_info >> 32) as usize);
            CStr::from_ptr((names + (*symbol).st_name as usize) as *const _) == RAISE
        };
        let relocation = relocations.iter().find(is_raise)?;
        let address = *((base + relocation.r_offset as usize) as *const usize);
        // What is not bound yet leads back into the library itself.
        let is_own = headers.iter().filter(|header| header.p_type == libc::PT_LOAD).any(|header| {
            let start = base + header.p_vaddr as usize;
            (start..start + header.p_memsz as usize).contains(&address)
        });
        (!is_own).then_some(address)
    }
}
