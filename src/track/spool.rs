//! The file of a run: records in the blocks of a `LevelDB` log, as `wandb sync` reads them.
//!
//! Seven bytes open the file. Blocks of 32 KiB follow, counted from the start of the file. A record
//! is one chunk, or several where it crosses blocks; a chunk has seven bytes of head: CRC-32
//! (IEEE) of type and content, length, type. Less than a head's room at the end of a block is
//! filled with zeros. A file that breaks off is good up to its last whole record.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Bytes of a block.
const BLOCK: u64 = 32 << 10;
/// Bytes before a chunk's content.
const HEAD: u64 = 7;
/// `:W&B`, a magic number in little endian, version 0.
const OPENING: [u8; 7] = [b':', b'W', b'&', b'B', 0xE1, 0xBE, 0];

const FULL: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;

/// Appends records; each is whole in the file, or not there.
#[derive(Debug)]
pub struct SpoolWriter {
    file: File,
    len: u64,
}

impl SpoolWriter {
    /// Begins a new file.
    ///
    /// # Errors
    /// A file that exists or cannot be written.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut file = File::options().append(true).create_new(true).open(path)?;
        file.write_all(&OPENING)?;
        let len = OPENING.len() as u64;
        Ok(Self { file, len })
    }

    /// Bytes of the file up to the end of the last record.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether no record was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == OPENING.len() as u64
    }

    /// Writes one record.
    ///
    /// # Errors
    /// A full disk and the like; then the file is as it was before.
    pub fn append(&mut self, record: &[u8]) -> io::Result<()> {
        let framed = frame(self.len, record);
        if let Err(error) = self.file.write_all(&framed) {
            // What was written of it would hide all that follows.
            self.file.set_len(self.len)?;
            return Err(error);
        }
        self.len += framed.len() as u64;
        Ok(())
    }
}

/// A record as it stands in the file from byte `at` on.
fn frame(mut at: u64, record: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(record.len() + 64);
    let mut rest = record;
    let mut begun = false;
    loop {
        let left = BLOCK - at % BLOCK;
        if left < HEAD {
            out.extend((0..left).map(|_| 0));
            at += left;
            continue;
        }
        #[expect(clippy::cast_possible_truncation, reason = "at most a block")]
        let room = (left - HEAD) as usize;
        let (content, after) = rest.split_at(rest.len().min(room));
        let kind = match (begun, after.is_empty()) {
            (false, true) => FULL,
            (false, false) => FIRST,
            (true, false) => MIDDLE,
            (true, true) => LAST,
        };
        #[expect(clippy::cast_possible_truncation, reason = "less than a block")]
        let length = content.len() as u16;
        out.extend(checksum(kind, content).to_le_bytes());
        out.extend(length.to_le_bytes());
        out.push(kind);
        out.extend(content);
        at += HEAD + content.len() as u64;
        (begun, rest) = (true, after);
        if rest.is_empty() {
            return out;
        }
    }
}

fn checksum(kind: u8, content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[kind]);
    hasher.update(content);
    hasher.finalize()
}

/// Reads records in their order; the file may grow meanwhile.
#[derive(Debug)]
pub struct SpoolReader {
    file: BufReader<File>,
    at: u64,
}

impl SpoolReader {
    /// Opens a file.
    ///
    /// # Errors
    /// A file that cannot be read or does not begin as one of a run.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = BufReader::new(File::open(path)?);
        let mut opening = [0; OPENING.len()];
        file.read_exact(&mut opening)?;
        if opening != OPENING {
            return Err(broken("it is no file of a run"));
        }
        let at = OPENING.len() as u64;
        Ok(Self { file, at })
    }

    /// Bytes read, always up to the end of a record.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.at
    }

    /// The next record; `None` where the file ends, also in the middle of one.
    ///
    /// # Errors
    /// Content that does not have its checksum, and failures to read.
    pub fn next_record(&mut self) -> io::Result<Option<Vec<u8>>> {
        let start = self.at;
        match self.read_record() {
            Ok(record) => Ok(Some(record)),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                self.at = start;
                self.file.seek(SeekFrom::Start(start))?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn read_record(&mut self) -> io::Result<Vec<u8>> {
        let mut record = Vec::new();
        loop {
            let left = BLOCK - self.at % BLOCK;
            if left < HEAD {
                io::copy(&mut (&mut self.file).take(left), &mut io::sink())?;
                self.at += left;
                continue;
            }
            let mut head = [0; 7];
            self.file.read_exact(&mut head)?;
            let [c0, c1, c2, c3, l0, l1, kind] = head;
            let begun = record.len();
            record.resize(begun + usize::from(u16::from_le_bytes([l0, l1])), 0);
            let content = &mut record[begun..];
            self.file.read_exact(content)?;
            if checksum(kind, content) != u32::from_le_bytes([c0, c1, c2, c3]) {
                return Err(broken("a checksum does not match"));
            }
            self.at += HEAD + content.len() as u64;
            match kind {
                FULL | LAST => return Ok(record),
                FIRST | MIDDLE => {}
                _ => return Err(broken("a chunk of unknown type")),
            }
        }
    }
}

fn broken(why: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lengths around the ends of blocks, so that chunks, heads and padding fall there.
    fn records() -> Vec<Vec<u8>> {
        let block = usize::try_from(BLOCK).unwrap();
        let mut lengths = vec![1, 0, 100];
        lengths.extend((block - 120 - 10)..(block - 120 + 10));
        lengths.extend([3 * block + 5, block - 7, 2 * block, 1]);
        let make = |(index, length): (usize, usize)| {
            (0..length)
                .map(|byte| u8::try_from((byte * 7 + index) % 251).unwrap())
                .collect()
        };
        lengths.into_iter().enumerate().map(make).collect()
    }

    #[test]
    fn records_come_back_wherever_blocks_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run-x.wandb");
        let mut writer = SpoolWriter::create(&path).unwrap();
        assert!(writer.is_empty());
        let mut reader = SpoolReader::open(&path).unwrap();
        for record in records() {
            assert!(reader.next_record().unwrap().is_none());
            writer.append(&record).unwrap();
            // While the file grows as well as afterwards.
            assert_eq!(reader.next_record().unwrap().as_ref(), Some(&record));
            assert_eq!(reader.position(), writer.len());
        }
        assert_eq!(std::fs::metadata(&path).unwrap().len(), writer.len());
        let mut reader = SpoolReader::open(&path).unwrap();
        for record in records() {
            assert_eq!(reader.next_record().unwrap(), Some(record));
        }
        assert!(SpoolWriter::create(&path).is_err(), "never written over");
    }

    #[test]
    fn a_file_that_breaks_off_is_good_up_to_its_last_whole_record() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run-x.wandb");
        let mut writer = SpoolWriter::create(&path).unwrap();
        let mut ends = vec![writer.len()];
        for record in &records()[..8] {
            writer.append(record).unwrap();
            ends.push(writer.len());
        }
        let whole = std::fs::read(&path).unwrap();
        let torn = dir.path().join("torn.wandb");
        for cut in (7..whole.len()).step_by(997) {
            std::fs::write(&torn, &whole[..cut]).unwrap();
            let mut reader = SpoolReader::open(&torn).unwrap();
            let mut found = 0;
            while reader.next_record().unwrap().is_some() {
                found += 1;
            }
            let expected = ends.iter().filter(|&&end| end <= cut as u64).count() - 1;
            assert_eq!(found, expected, "cut at {cut}");
        }
    }

    #[test]
    fn changed_bytes_are_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run-x.wandb");
        SpoolWriter::create(&path).unwrap().append(b"abc").unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let mut reader = SpoolReader::open(&path).unwrap();
        assert!(reader.next_record().is_err());
        std::fs::write(&path, b"something else").unwrap();
        assert!(SpoolReader::open(&path).is_err());
    }
}
