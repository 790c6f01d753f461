//! Memory of one process that other processes of its host read in place.
//!
//! One process allocates it ([`SharedRegion`]) and sends the others its [`Address`]; they map it through /proc
//! ([`PeerRegion`]). It has no name that could be left behind and no limit but the host's memory (/dev/shm is often
//! small in containers), and is freed with the last process that holds it. Linux only.
#![allow(
    unsafe_code,
    reason = "a map of memory that another process writes is sound by agreement alone"
)]

use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::ops::Deref;
use std::os::fd::AsRawFd as _;

use memmap2::{Mmap, MmapMut, MmapOptions};

/// The address at which another process finds a region: process number, file descriptor, bytes.
pub type Address = [u64; 3];

/// Memory allocated by this process, the only one that writes it.
#[derive(Debug)]
pub struct SharedRegion {
    map: MmapMut,
    file: Option<File>,
    bytes: usize,
}

/// Memory allocated by another process of this host, for reading. Its owner must not write it while it is read: the
/// processes that share it agree on who may access it when.
#[derive(Debug)]
pub struct PeerRegion {
    map: Mmap,
    bytes: usize,
}

impl SharedRegion {
    /// Allocates `bytes` zeros.
    ///
    /// # Errors
    /// If the system offers no such memory, or not enough.
    pub fn new(bytes: usize) -> Result<Self> {
        let file = anonymous()?;
        // A map must not be empty.
        file.set_len(bytes.max(1) as u64)?;
        // SAFETY: the file was made just now, no other process knows of it, and those who learn of it map it to read.
        let map = unsafe { MmapOptions::new().len(bytes.max(1)).map_mut(&file)? };
        Ok(Self {
            map,
            file: Some(file),
            bytes,
        })
    }

    /// Returns the address for other processes; valid until `close`.
    #[must_use]
    pub fn address(&self) -> Address {
        let descriptor = self
            .file
            .as_ref()
            .map_or(u64::MAX, |file| file.as_raw_fd() as u64);
        [u64::from(std::process::id()), descriptor, self.bytes as u64]
    }

    /// Closes the file descriptor; called when every process that needs the region has opened it.
    pub fn close(&mut self) {
        self.file = None;
    }

    /// Returns the bytes, which begin at the start of a page.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.map[..self.bytes]
    }

    /// Returns the bytes for writing; they begin at the start of a page.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.map[..self.bytes]
    }
}

impl PeerRegion {
    /// Maps the region at an address.
    ///
    /// # Errors
    /// If it can't be opened from here (another host or container, or the system forbids it), or has another size.
    pub fn open([process, descriptor, bytes]: Address) -> Result<Self> {
        let file = File::open(format!("/proc/{process}/fd/{descriptor}"))?;
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.len() != bytes.max(1) {
            return Err(Error::new(ErrorKind::InvalidData, "not what was announced"));
        }
        let bytes = bytes as usize;
        // SAFETY: the file is as long as the map and its maker never shortens it; its maker writes it while nobody
        // reads, which is what `PeerRegion` asks of those who share.
        let map = unsafe { MmapOptions::new().len(bytes.max(1)).map(&file)? };
        Ok(Self { map, bytes })
    }
}

impl Deref for PeerRegion {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map[..self.bytes]
    }
}

#[cfg(target_os = "linux")]
fn anonymous() -> Result<File> {
    use rustix::fs::{MemfdFlags, memfd_create};
    use rustix::process::{Resource, getrlimit};
    // The system treats this memory as a file; growing it beyond the limit would kill the process.
    if getrlimit(Resource::Fsize).current.is_some() {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "the size of files is limited",
        ));
    }
    Ok(File::from(memfd_create("eki-mpi", MemfdFlags::CLOEXEC)?))
}

#[cfg(not(target_os = "linux"))]
fn anonymous() -> Result<File> {
    Err(ErrorKind::Unsupported.into())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn what_one_map_writes_the_other_reads() {
        for bytes in [0, 1, 5000] {
            let mut own = SharedRegion::new(bytes).unwrap();
            let theirs = PeerRegion::open(own.address()).unwrap();
            assert!(theirs.iter().all(|&byte| byte == 0));
            own.close();
            own.bytes_mut().fill(7);
            assert_eq!(theirs[..], vec![7; bytes][..]);
            drop(own);
            assert_eq!(theirs.len(), bytes);
        }
    }

    #[test]
    fn what_is_not_there_or_of_another_size_is_refused() {
        let mut own = SharedRegion::new(100).unwrap();
        let [process, descriptor, _] = own.address();
        assert!(PeerRegion::open([process, descriptor, 101]).is_err());
        assert!(PeerRegion::open([process, 1 << 20, 100]).is_err());
        assert!(PeerRegion::open([u64::MAX, descriptor, 100]).is_err());
        own.close();
        assert!(PeerRegion::open(own.address()).is_err());
    }
}
