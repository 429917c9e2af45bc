//! A zip archive, written front to back (PKWARE, APPNOTE 6.3): parts are compressed on all cores and never held whole.

use std::io::{self, Write};

use crc32fast::Hasher;
use flate2::{Compress, Compression, FlushCompress};

use super::stream::pieces;

const LOCAL: u32 = 0x0403_4b50;
const DESCRIPTOR: u32 = 0x0807_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
/// 1980-01-01: no time of day, so that the same mesh gives the same bytes.
const DATE: u16 = 0x0021;
/// Sizes and checksum follow the bytes.
const STREAMED: u16 = 1 << 3;
const DEFLATED: u16 = 8;
/// A last, empty block.
const LAST_BLOCK: [u8; 2] = [3, 0];
/// Names are UTF-8; ours are ASCII. Version 2.0 knows deflation.
const VERSION: u16 = 20;

struct Part {
    name: &'static str,
    flags: u16,
    method: u16,
    checksum: u32,
    packed: u64,
    size: u64,
    offset: u64,
}

/// An archive in the making.
pub(super) struct Archive<'a, W: Write> {
    out: &'a mut W,
    written: u64,
    parts: Vec<Part>,
}

impl<'a, W: Write> Archive<'a, W> {
    pub fn new(out: &'a mut W) -> Self {
        Self { out, written: 0, parts: Vec::new() }
    }

    /// A small part, stored as it is.
    pub fn store(&mut self, name: &'static str, bytes: &[u8]) -> io::Result<()> {
        let size = bytes.len() as u64;
        let checksum = crc32fast::hash(bytes);
        let part = Part { name, flags: 0, method: 0, checksum, packed: size, size, offset: self.written };
        self.begin(&part)?;
        self.put(bytes)?;
        self.parts.push(part);
        Ok(())
    }

    /// Begins a part that is deflated as it comes.
    pub fn deflate(&mut self, name: &'static str) -> io::Result<Deflated<'_, 'a, W>> {
        let offset = self.written;
        let part = Part { name, flags: STREAMED, method: DEFLATED, checksum: 0, packed: 0, size: 0, offset };
        self.begin(&part)?;
        Ok(Deflated { begun: self.written, archive: self, hasher: Hasher::new(), part })
    }

    /// Writes the directory.
    pub fn finish(mut self) -> io::Result<()> {
        let start = self.written;
        let parts = std::mem::take(&mut self.parts);
        for part in &parts {
            let mut record = Vec::new();
            words(&mut record, &[CENTRAL]);
            shorts(&mut record, &[VERSION, VERSION, part.flags, part.method, 0, DATE]);
            words(&mut record, &[part.checksum, fit(part.packed)?, fit(part.size)?]);
            // Name; no extra field, comment, disk or attributes.
            shorts(&mut record, &[part.name.len() as u16, 0, 0, 0, 0]);
            words(&mut record, &[0, fit(part.offset)?]);
            record.extend_from_slice(part.name.as_bytes());
            self.put(&record)?;
        }
        let mut record = Vec::new();
        words(&mut record, &[END]);
        shorts(&mut record, &[0, 0, parts.len() as u16, parts.len() as u16]);
        words(&mut record, &[fit(self.written - start)?, fit(start)?]);
        shorts(&mut record, &[0]);
        self.put(&record)
    }

    fn begin(&mut self, part: &Part) -> io::Result<()> {
        let mut record = Vec::new();
        words(&mut record, &[LOCAL]);
        shorts(&mut record, &[VERSION, part.flags, part.method, 0, DATE]);
        words(&mut record, &[part.checksum, fit(part.packed)?, fit(part.size)?]);
        shorts(&mut record, &[part.name.len() as u16, 0]);
        record.extend_from_slice(part.name.as_bytes());
        self.put(&record)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.written += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}

/// A part in the making.
pub(super) struct Deflated<'p, 'a, W: Write> {
    archive: &'p mut Archive<'a, W>,
    begun: u64,
    hasher: Hasher,
    part: Part,
}

impl<W: Write> Deflated<'_, '_, W> {
    /// Appends the bytes of items in order.
    ///
    /// Each chunk is a run of deflate blocks of its own, which ends at a byte: runs beside each other are a stream.
    pub fn stream<T: Sync>(&mut self, items: &[T], each: impl Fn(&mut Vec<u8>, &T) + Sync) -> io::Result<()> {
        let take = |piece: &[u8]| {
            let (head, blocks) = piece.split_first_chunk::<12>().ok_or(io::ErrorKind::InvalidData)?;
            let [a, b, c] = *head.as_chunks::<4>().0 else { return Err(io::ErrorKind::InvalidData.into()) };
            let [checksum, size, room] = [a, b, c].map(u32::from_le_bytes);
            debug_assert_eq!(room as usize, blocks.len());
            self.hasher.combine(&Hasher::new_with_initial_len(checksum, u64::from(size)));
            self.part.size += u64::from(size);
            self.archive.put(blocks)
        };
        pieces(items, take, |chunk, bytes| {
            let mut plain = Vec::with_capacity(64 * chunk.len());
            chunk.iter().for_each(|item| each(&mut plain, item));
            pack(&plain, bytes);
        })
    }

    /// Ends the part.
    pub fn finish(mut self) -> io::Result<()> {
        self.archive.put(&LAST_BLOCK)?;
        self.part.checksum = self.hasher.finalize();
        self.part.packed = self.archive.written - self.begun;
        let mut record = Vec::new();
        words(&mut record, &[DESCRIPTOR, self.part.checksum, fit(self.part.packed)?, fit(self.part.size)?]);
        self.archive.put(&record)?;
        self.archive.parts.push(self.part);
        Ok(())
    }
}

/// Checksum, size and packed size of a piece, then its blocks. The fastest level: higher ones take several times as
/// long for a tenth of the size.
fn pack(plain: &[u8], out: &mut Vec<u8>) {
    words(out, &[crc32fast::hash(plain), plain.len() as u32, 0]);
    let mut compress = Compress::new(Compression::fast(), false);
    let mut taken = 0;
    loop {
        out.reserve(plain.len() / 2 + 64);
        let room = out.capacity() - out.len();
        let before = (compress.total_in(), compress.total_out());
        // It fails only for a stream that was finished, which this one is not.
        let _ = compress.compress_vec(&plain[taken..], out, FlushCompress::Sync);
        taken += (compress.total_in() - before.0) as usize;
        // Room left over means that nothing is held back.
        if taken == plain.len() && compress.total_out() - before.1 < room as u64 {
            break;
        }
    }
    let length = (out.len() - 12) as u32;
    out[8..12].copy_from_slice(&length.to_le_bytes());
}

fn fit(size: u64) -> io::Result<u32> {
    u32::try_from(size).map_err(|_| io::Error::new(io::ErrorKind::FileTooLarge, "more than 4 GiB in a 3MF file"))
}

fn words(out: &mut Vec<u8>, values: &[u32]) {
    values.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
}

fn shorts(out: &mut Vec<u8>, values: &[u16]) {
    values.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read};

    use super::*;

    #[test]
    fn another_reader_finds_every_byte() {
        // Sizes around a chunk's, of texts that pack well and of ones that do not.
        for (count, noise) in [(0, false), (1, false), (8192, true), (300_000, false), (140_000, true)] {
            let mut state = 1u32;
            let items: Vec<u32> = (0..count)
                .map(|n| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    if noise { state } else { n }
                })
                .collect();
            let each = |out: &mut Vec<u8>, item: &u32| out.extend_from_slice(&item.to_le_bytes());
            let mut bytes = Vec::new();
            let mut archive = Archive::new(&mut bytes);
            archive.store("a.txt", b"hello").unwrap();
            let mut part = archive.deflate("dir/b").unwrap();
            part.stream(&items, each).unwrap();
            part.stream(&items[..items.len() / 2], each).unwrap();
            part.finish().unwrap();
            archive.store("c", &[]).unwrap();
            archive.finish().unwrap();
            let mut found = ::zip::ZipArchive::new(Cursor::new(&bytes)).unwrap();
            assert_eq!(found.len(), 3);
            let mut read = |name: &str| {
                let mut out = Vec::new();
                found.by_name(name).unwrap().read_to_end(&mut out).unwrap();
                out
            };
            assert_eq!((read("a.txt"), read("c")), (b"hello".to_vec(), Vec::new()));
            let mut expected = Vec::new();
            items.iter().chain(&items[..items.len() / 2]).for_each(|item| each(&mut expected, item));
            assert!(read("dir/b") == expected, "{count} {noise}");
        }
    }
}
