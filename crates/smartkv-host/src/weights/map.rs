//! Files mapped into memory, shared by everything that reads from them.

use crate::error::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A read-only file in the address space. Cloning shares the mapping.
#[derive(Debug, Clone)]
pub struct MappedFile {
    path: PathBuf,
    map: Arc<memmap2::Mmap>,
}

impl MappedFile {
    /// Maps `path`.
    ///
    /// # Errors
    /// A path that cannot be opened or mapped, or an empty file.
    pub fn open(path: &Path) -> Result<Self> {
        let io = |source| Error::io(path, source);
        let file = std::fs::File::open(path).map_err(io)?;
        if file.metadata().map_err(io)?.len() == 0 {
            return Err(Error::file(path, "the file is empty"));
        }
        // SAFETY: the mapping is private and read-only, and no reference into it outlives `Arc`.
        // Whoever truncates a model file while it is in use gets SIGBUS, as with any mapped file;
        // writers that replace it by renaming, as downloads do, leave the mapping intact.
        #[allow(unsafe_code)]
        let map = unsafe { memmap2::Mmap::map(&file) }.map_err(io)?;
        Ok(Self {
            path: path.to_path_buf(),
            map: Arc::new(map),
        })
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives back the memory of what was read so far; whoever reads it again gets it from the
    /// system's cache of the file. Does nothing where the system cannot.
    pub(crate) fn release(&self) {
        // SAFETY: the mapping is of a file, private and read-only: no page of it was ever written,
        // so each is what the file holds, before as after. References into it stay valid.
        #[cfg(unix)]
        #[allow(unsafe_code)]
        let released = unsafe {
            self.map
                .unchecked_advise(memmap2::UncheckedAdvice::DontNeed)
        };
        // A refusal costs memory, nothing else.
        #[cfg(unix)]
        drop(released);
    }

    /// The whole file.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.map
    }
}
