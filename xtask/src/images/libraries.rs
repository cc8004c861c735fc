//! The shared libraries of a program that is not static: an image without them cannot start it.

use std::path::{Path, PathBuf};

use crate::command::{command, run};

/// Where this machine has the libraries of a program, its loader included.
pub(super) fn of(program: &Path) -> anyhow::Result<Vec<PathBuf>> {
    Ok(listed(&run(command("ldd", [program]).env("LC_ALL", "C"))?))
}

/// Reads `name => path (address)` and, for the loader, `path (address)`. What the kernel maps has no path.
fn listed(said: &str) -> Vec<PathBuf> {
    let path = |line: &str| {
        let (path, _address) = line.trim().rsplit_once(" (")?;
        let path = path.split_once(" => ").map_or(path, |(_name, path)| path);
        path.starts_with('/').then(|| PathBuf::from(path))
    };
    said.lines().filter_map(path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_the_loader_are_listed_and_what_the_kernel_maps_is_not() {
        let said = "\tlinux-vdso.so.1 (0x00007fa455272000)\n\
                    \tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007fa44e120000)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007fa455274000)\n";
        let expected = ["/lib/x86_64-linux-gnu/libm.so.6", "/lib64/ld-linux-x86-64.so.2"];
        assert_eq!(listed(said), expected.map(PathBuf::from));
    }

    #[test]
    fn a_static_program_needs_none() {
        assert_eq!(listed("\tstatically linked\n"), Vec::<PathBuf>::new());
    }
}
