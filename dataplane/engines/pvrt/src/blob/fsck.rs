//! Holds all of a blob against what it should be, and keeps what is whole.

use std::collections::HashSet;
use std::path::Path;

use super::disk::header::Header;
use super::disk::journal::{self, Journal};
use super::disk::{self, Access};
use super::error::BlobError;
use super::state::{State, parts, slice};
use super::{Blob, Deterministic, Digest, Disk, Progress, STRIPE, open_data};

/// What [`Blob::check`] or [`Blob::repair`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Bytes held against what they should be.
    pub bytes: u64,
    /// Chunks looked at.
    pub chunks: u64,
    /// Objects looked at.
    pub objects: u64,
    /// Stretches of the deterministic part that are wrong: first address and bytes, each at most
    /// 4 MiB.
    pub deterministic: Vec<(u64, u64)>,
    /// Chunks whose bytes are not theirs, or that lie where they cannot.
    pub bad_chunks: Vec<Digest>,
    /// Objects that lack chunks, with the reason.
    pub bad_objects: Vec<(String, String)>,
    /// Bytes of the journal that could not be read.
    pub journal: u64,
}

impl Findings {
    /// Whether all is as it should be.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.deterministic.is_empty()
            && self.bad_chunks.is_empty()
            && self.bad_objects.is_empty()
            && self.journal == 0
    }
}

impl Blob {
    /// Looks at every byte: the deterministic part, every chunk against its digest, every object.
    ///
    /// # Errors
    /// When the identity makes no blob; what is wrong is no error but found.
    pub fn check(&self, progress: Progress<'_>) -> Result<Findings, BlobError> {
        let mut findings = Findings::default();
        let total = self.header.identity.size
            + self.chunks().map(|chunk| u64::from(chunk.len)).sum::<u64>();
        let bytes = self.bytes();
        let part = Deterministic::new(&self.header.identity)?;
        each_stripe(&part, bytes, |at, found, want| {
            if found != want {
                findings.deterministic.push((at, want.len() as u64));
            }
            findings.bytes += want.len() as u64;
            progress(findings.bytes, total);
        });
        let mut shown = 0;
        for (_, entry) in self.state.index.iter() {
            if slice(bytes, entry).map(Digest::of) != Some(entry.digest) {
                findings.bad_chunks.push(entry.digest);
            }
            findings.bytes += u64::from(entry.len);
            findings.chunks += 1;
            if findings.bytes - shown > STRIPE as u64 {
                shown = findings.bytes;
                progress(shown, total);
            }
        }
        let bad: HashSet<Digest> = findings.bad_chunks.iter().copied().collect();
        for (name, object) in &self.state.objects {
            findings.objects += 1;
            let whole = parts(&self.state.index, bytes, object).and_then(|parts| {
                let digest = |part: u32| self.state.index.get(part).digest;
                let bad = parts.into_iter().map(digest).find(|digest| bad.contains(digest));
                bad.map_or(Ok(()), |digest| Err(format!("its chunk {digest} is damaged")))
            });
            if let Err(why) = whole {
                findings.bad_objects.push((name.clone(), why));
            }
        }
        Ok(findings)
    }

    /// Keeps what is whole of the blob in `folder`: fills the deterministic part where it is
    /// wrong, drops damaged chunks and the objects that need them, and writes the journal anew.
    ///
    /// # Errors
    /// When the header cannot be read, or the data are cut short or another blob's: then nothing
    /// can be said of them. When a process reads or writes the blob.
    pub fn repair(folder: &Path, progress: Progress<'_>) -> Result<(Self, Findings), BlobError> {
        Header::read(folder)?;
        let access = Access::write(folder)?;
        let alone = disk::no_readers(folder)?;
        let header = Header::read(folder)?;
        let region = open_data(folder, &header, true)?;
        let (mut state, lost) = salvaged(folder, &header)?;
        let overlapping = drop_outside(&mut state, &header);
        let unique = header.unique;
        let disk = Disk { folder: folder.to_owned(), journal: None, _access: access };
        let pins = std::sync::Arc::default();
        let mut blob = Self { header, region, state, pins, disk: Some(disk), dirty: false };
        let mut findings = blob.check(progress)?;
        findings.journal = lost;
        findings.bad_chunks.extend(overlapping);
        blob.mend(&findings)?;
        blob.settle()?;
        let journal = Journal::create(folder, unique, &blob.state.records())?;
        if let Some(disk) = &mut blob.disk {
            disk.journal = Some(journal);
        }
        drop(alone);
        Ok((blob, findings))
    }

    fn mend(&mut self, findings: &Findings) -> Result<(), BlobError> {
        let part = Deterministic::new(&self.header.identity)?;
        let bytes = self.region.bytes_mut().ok_or(BlobError::ReadOnly)?;
        for &(at, len) in &findings.deterministic {
            part.write(at, &mut bytes[at as usize..(at + len) as usize]);
        }
        self.region.sync()?;
        for digest in &findings.bad_chunks {
            if let Some(number) = self.state.index.find(digest) {
                self.state.index.remove(number);
            }
        }
        for (name, _) in &findings.bad_objects {
            self.state.objects.remove(name);
        }
        self.drop_overlapping();
        Ok(())
    }

    /// Of two chunks that share bytes and are both whole, one is enough.
    fn drop_overlapping(&mut self) {
        let mut taken: Vec<_> = self
            .state
            .index
            .iter()
            .map(|(number, entry)| (entry.offset, entry.len, number))
            .collect();
        taken.sort_unstable();
        let (mut end, mut gone) = (0, Vec::new());
        for (offset, len, number) in taken {
            if offset < end {
                gone.push(number);
            } else {
                end = offset + u64::from(len);
            }
        }
        for number in gone {
            self.state.index.remove(number);
        }
        let bytes = super::address_space(&self.region, &self.header);
        let index = &self.state.index;
        self.state.objects.retain(|_, object| parts(index, bytes, object).is_ok());
    }
}

/// What can be read of a journal, and how many bytes cannot.
fn salvaged(folder: &Path, header: &Header) -> Result<(State, u64), BlobError> {
    let read = match journal::Read::new(folder) {
        Err(BlobError::Damaged { .. }) => return Ok((State::new(0), 0)),
        read => read?,
    };
    let mut state = State::new(read.len());
    if let Ok(scanned) = read.scan(&header.unique, |record| state.apply(record)) {
        return Ok((state, scanned.cut as u64));
    }
    let mut state = State::new(read.len());
    // Without the frames between, some records say what cannot be: the digests decide.
    let scanned = read.salvage(|record| {
        let _ = state.apply(record);
    });
    Ok((state, (scanned.cut as u64).max(1)))
}

/// Removes chunks that lie outside the stored part.
fn drop_outside(state: &mut State, header: &Header) -> Vec<Digest> {
    let inside = header.identity.size..=header.total();
    let outside = state.index.iter().filter(|(_, entry)| {
        let end = entry.offset.checked_add(entry.len.into());
        !inside.contains(&entry.offset) || end.is_none_or(|end| !inside.contains(&end))
    });
    let outside: Vec<_> = outside.map(|(number, entry)| (number, entry.digest)).collect();
    for (number, _) in &outside {
        state.index.remove(*number);
    }
    outside.into_iter().map(|(_, digest)| digest).collect()
}

/// Gives each stretch of the deterministic part to `each`: its address, what is there, and what
/// should be.
fn each_stripe(part: &Deterministic, bytes: &[u8], mut each: impl FnMut(u64, &[u8], &[u8])) {
    let mut want = vec![0; STRIPE];
    let size = part.size() as usize;
    for (number, found) in bytes[..size].chunks(STRIPE).enumerate() {
        let at = (number * STRIPE) as u64;
        let want = &mut want[..found.len()];
        part.write(at, want);
        each(at, found, want);
    }
}
