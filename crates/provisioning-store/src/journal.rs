//! The file that an outage's entries are kept in until the database has adopted them.
//!
//! One line for each entry: the CRC-32 of its JSON in eight hexadecimal digits, a space, the JSON. A line counts once
//! it is synced to the disk. One that a crash tore is no entry, because nobody was told that it was written. Entries
//! may be put into the database any number of times: they are idempotent by the name of their call.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::ledger::LedgerEntry;
use crate::private;

/// Read at once; longer than any entry.
const CHUNK: usize = 256 * 1024;

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Where the synced entries end.
    length: u64,
    /// Where the entries begin that are not in the database yet.
    replayed: u64,
    /// Something may stand behind `length` that is no entry and must go before the next one is written.
    is_torn: bool,
}

/// Entries as they were read.
#[derive(Debug, Default, PartialEq)]
pub struct Chunk {
    /// The entries.
    pub entries: Vec<LedgerEntry>,
    /// Lines that are no entries.
    pub damaged: usize,
    /// Where the next chunk begins.
    end: u64,
}

impl Journal {
    /// Opens or makes the file. A line without an end is a torn one, and is cut off.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = private::open(path)?;
        let size = file.metadata()?.len();
        let mut journal = Self { path: path.to_owned(), file, length: size, replayed: 0, is_torn: false };
        journal.length = journal.end_of_last_line(size)?;
        journal.is_torn = journal.length != size;
        Ok(journal)
    }

    fn end_of_last_line(&self, size: u64) -> io::Result<u64> {
        let mut end = size;
        while end > 0 {
            let begin = end.saturating_sub(CHUNK as u64);
            let mut buffer = vec![0; (end - begin) as usize];
            self.file.read_exact_at(&mut buffer, begin)?;
            if let Some(at) = buffer.iter().rposition(|byte| *byte == b'\n') {
                return Ok(begin + at as u64 + 1);
            }
            end = begin;
        }
        Ok(0)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Octets of entries that are not in the database yet.
    pub fn waiting(&self) -> u64 {
        self.length - self.replayed
    }

    /// Writes entries and waits until they are on the disk. After a failure none of them is in the journal.
    pub fn append(&mut self, entries: &[LedgerEntry]) -> io::Result<()> {
        if self.is_torn {
            self.file.set_len(self.length)?;
            self.is_torn = false;
        }
        let mut lines = Vec::new();
        for entry in entries {
            let json = serde_json::to_vec(entry)?;
            lines.extend_from_slice(format!("{:08x} ", crc32fast::hash(&json)).as_bytes());
            lines.extend_from_slice(&json);
            lines.push(b'\n');
        }
        let written = self.file.write_all_at(&lines, self.length).and_then(|()| self.file.sync_data());
        match written {
            Ok(()) => self.length += lines.len() as u64,
            Err(_) => self.is_torn = self.file.set_len(self.length).is_err(),
        }
        written
    }

    /// The next entries that are not in the database yet; none when all are.
    pub fn next_chunk(&self) -> io::Result<Chunk> {
        let mut chunk = Chunk { end: self.replayed, ..Chunk::default() };
        let mut buffer = vec![0; usize::try_from(self.waiting()).unwrap_or(CHUNK).min(CHUNK)];
        self.file.read_exact_at(&mut buffer, self.replayed)?;
        let whole = buffer.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if whole == 0 && !buffer.is_empty() {
            // No entry is so long: whatever this is, it ends where the journal ends.
            return Ok(Chunk { damaged: 1, end: self.length, ..chunk });
        }
        for line in buffer[..whole].split_inclusive(|byte| *byte == b'\n') {
            match entry(line) {
                Some(entry) => chunk.entries.push(entry),
                None => chunk.damaged += 1,
            }
        }
        chunk.end += whole as u64;
        Ok(chunk)
    }

    /// These entries are in the database.
    pub fn replayed(&mut self, chunk: &Chunk) {
        self.replayed = chunk.end;
    }

    /// Empties the file, if everything in it is in the database.
    pub fn clear(&mut self) -> io::Result<()> {
        if self.waiting() == 0 && self.length > 0 {
            self.file.set_len(0)?;
            (self.length, self.replayed) = (0, 0);
            self.file.sync_data()?;
        }
        Ok(())
    }
}

fn entry(line: &[u8]) -> Option<LedgerEntry> {
    let (sum, json) = line.strip_suffix(b"\n")?.split_at_checked(9)?;
    let sum = u32::from_str_radix(std::str::from_utf8(sum).ok()?.strip_suffix(' ')?, 16).ok()?;
    if crc32fast::hash(json) == sum { serde_json::from_slice(json).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::cdr::CallId;
    use crate::ledger::LedgerOp;
    use crate::model::Timestamp;

    fn entries(names: std::ops::Range<u32>) -> Vec<LedgerEntry> {
        let answer =
            |n: u32| LedgerOp::Answer { call: CallId::new(n.to_string()), at: Timestamp(7), known: None };
        names.map(|n| LedgerEntry { at: Timestamp(i64::from(n)), op: answer(n) }).collect()
    }

    fn read(journal: &mut Journal) -> (Vec<LedgerEntry>, usize) {
        let (mut all, mut damaged) = (Vec::new(), 0);
        while journal.waiting() > 0 {
            let chunk = journal.next_chunk().unwrap();
            journal.replayed(&chunk);
            all.extend(chunk.entries);
            damaged += chunk.damaged;
        }
        (all, damaged)
    }

    #[test]
    fn entries_are_read_once_in_order_and_again_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut journal = Journal::open(&path).unwrap();
        journal.append(&entries(0..3_000)).unwrap();
        let first = journal.next_chunk().unwrap();
        journal.replayed(&first);
        journal.append(&entries(3_000..6_000)).unwrap();
        let (rest, _) = read(&mut journal);
        assert!(!rest.is_empty() && journal.waiting() == 0);
        assert_eq!([first.entries, rest].concat(), entries(0..6_000));
        let mut again = Journal::open(&path).unwrap();
        assert_eq!(read(&mut again), (entries(0..6_000), 0));
        again.clear().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), 0);
        again.append(&entries(0..1)).unwrap();
        assert_eq!(read(&mut again), (entries(0..1), 0));
    }

    #[test]
    fn wherever_it_is_torn_every_whole_line_is_an_entry_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        Journal::open(&path).unwrap().append(&entries(0..4)).unwrap();
        let whole = fs::read(&path).unwrap();
        for length in 0..=whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let lines = whole[..length].iter().filter(|byte| **byte == b'\n').count() as u32;
            let mut journal = Journal::open(&path).unwrap();
            assert_eq!(journal.append(&entries(9..10)).ok(), Some(()));
            let expected = [entries(0..lines), entries(9..10)].concat();
            assert_eq!(read(&mut journal), (expected, 0), "torn at {length}");
        }
    }

    #[test]
    fn a_damaged_line_hides_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        Journal::open(&path).unwrap().append(&entries(0..3)).unwrap();
        let whole = fs::read(&path).unwrap();
        for at in (0..whole.len()).filter(|at| whole[*at] != b'\n') {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(&path, &damaged).unwrap();
            let (found, count) = read(&mut Journal::open(&path).unwrap());
            // Flipped into an end of line, an octet makes two wrong lines out of one.
            assert!((1..=2).contains(&count) && found.len() == 2, "{at}: {count} {found:?}");
        }
    }

    #[test]
    fn a_file_that_cannot_grow_keeps_what_it_has() {
        let mut journal = Journal::open(Path::new("/dev/full")).unwrap();
        assert!(journal.append(&entries(0..1)).is_err());
        assert_eq!(journal.waiting(), 0);
    }
}
