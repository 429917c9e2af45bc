//! Does a sequential JPEG hold all of its blocks? Walks the Huffman codes without computing a pixel.
//!
//! A file that lost its middle, or was cut off and closed with an end marker by some recovery tool, is well-formed to
//! every decoder, which then fills the rest with grey. Progressive files are not walked: what they lose is detail, not
//! area, and most damage to them breaks a scan in a way that the decoder refuses.

use crate::VisionError;

/// Checks every scan of the sequential JPEG in `clean` (as [`crate::container::JpegOutline::clean`]).
///
/// # Errors
/// [`VisionError::Damaged`] where a scan ends before its last block, or holds a code that its table does not.
pub(crate) fn check_scans(clean: &[u8]) -> Result<(), VisionError> {
    walk(clean).ok_or_else(|| VisionError::damaged("jpeg", "its picture data ends too early or is scrambled"))
}

/// For every 16 bits ahead: the symbol and the length of the code they begin with, zero for none.
type Table = Vec<(u8, u8)>;

#[derive(Clone, Copy, Default)]
struct Component {
    id: u8,
    across: usize,
    down: usize,
}

#[derive(Default)]
struct Frame {
    width: usize,
    height: usize,
    components: Vec<Component>,
}

fn walk(clean: &[u8]) -> Option<()> {
    let mut tables: [Table; 8] = Default::default();
    let mut frame = Frame::default();
    let mut restart = 0usize;
    let mut at = 2;
    loop {
        let marker = *clean.get(at + 1)?;
        if marker == 0xD9 {
            return Some(());
        }
        let length = usize::from(u16::from_be_bytes([*clean.get(at + 2)?, *clean.get(at + 3)?]));
        let body = clean.get(at + 4..at + 2 + length)?;
        at += 2 + length;
        match marker {
            0xC0 | 0xC1 => frame = read_frame(body)?,
            0xC4 => read_tables(body, &mut tables)?,
            0xDD => restart = usize::from(u16::from_be_bytes([*body.first()?, *body.get(1)?])),
            0xDA => {
                let mut bits = Bits { bytes: clean, at, held: 0, count: 0 };
                walk_scan(body, &frame, &tables, restart, &mut bits)?;
                at = bits.next_marker()?;
            }
            _ => {}
        }
    }
}

fn read_frame(body: &[u8]) -> Option<Frame> {
    let number = |at: usize| Some(usize::from(u16::from_be_bytes([*body.get(at)?, *body.get(at + 1)?])));
    let components = body
        .get(6..)?
        .chunks_exact(3)
        .take(usize::from(*body.get(5)?))
        .map(|c| Component { id: c[0], across: usize::from(c[1] >> 4), down: usize::from(c[1] & 15) })
        .collect::<Vec<_>>();
    let valid = components.iter().all(|c| (1..=4).contains(&c.across) && (1..=4).contains(&c.down));
    (valid && !components.is_empty()).then_some(Frame { height: number(1)?, width: number(3)?, components })
}

fn read_tables(mut body: &[u8], tables: &mut [Table; 8]) -> Option<()> {
    while let Some(&kind) = body.first() {
        let counts = body.get(1..17)?;
        let symbols = body.get(17..)?;
        let mut table = vec![(0, 0); 1 << 16];
        let (mut code, mut used) = (0usize, 0usize);
        for (length, &count) in (1u8..).zip(counts) {
            let span = 1usize << (16 - length);
            for _ in 0..count {
                table.get_mut(code..code + span)?.fill((*symbols.get(used)?, length));
                code += span;
                used += 1;
            }
        }
        // Classes 0 (DC) and 1 (AC), four tables of each.
        *tables.get_mut(usize::from(kind >> 4) * 4 + usize::from(kind & 15))? = table;
        body = &symbols[used..];
    }
    Some(())
}

fn walk_scan(body: &[u8], frame: &Frame, tables: &[Table; 8], restart: usize, bits: &mut Bits) -> Option<()> {
    let count = usize::from(*body.first()?);
    let scanned: Vec<(Component, &Table, &Table)> = body
        .get(1..1 + 2 * count)?
        .chunks_exact(2)
        .map(|pair| {
            let component = frame.components.iter().find(|component| component.id == pair[0])?;
            let (dc, ac) = (usize::from(pair[1] >> 4), usize::from(pair[1] & 15));
            Some((*component, tables.get(dc).filter(|_| dc < 4)?, tables.get(4 + ac)?))
        })
        .collect::<Option<_>>()?;
    let most = |side: fn(&Component) -> usize| frame.components.iter().map(side).max().unwrap_or(1);
    let (across, down) = (most(|c| c.across), most(|c| c.down));
    // One component alone is scanned block by block; several are interleaved in units of their sampling.
    let units = if let [(component, ..)] = scanned[..] {
        let blocks = |size: usize, part: usize, most: usize| (size * part).div_ceil(most).div_ceil(8);
        blocks(frame.width, component.across, across) * blocks(frame.height, component.down, down)
    } else {
        frame.width.div_ceil(8 * across) * frame.height.div_ceil(8 * down)
    };
    let single = scanned.len() == 1;
    for unit in 0..units {
        if restart > 0 && unit > 0 && unit % restart == 0 {
            bits.restart()?;
        }
        for (component, dc, ac) in &scanned {
            for _ in 0..if single { 1 } else { component.across * component.down } {
                walk_block(dc, ac, bits)?;
            }
        }
    }
    Some(())
}

fn walk_block(dc: &Table, ac: &Table, bits: &mut Bits) -> Option<()> {
    let size = bits.symbol(dc)?;
    bits.skip(u32::from(size))?;
    let mut at = 1;
    while at < 64 {
        let symbol = bits.symbol(ac)?;
        let (run, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
        match (run, size) {
            (15, 0) => at += 16,
            (_, 0) => break,
            _ => {
                at += run + 1;
                bits.skip(size)?;
            }
        }
    }
    Some(())
}

/// Bits of an entropy-coded segment, stuffed zeros removed.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    held: u64,
    count: u32,
}

impl Bits<'_> {
    fn fill(&mut self) {
        while self.count <= 48 {
            let Some(&byte) = self.bytes.get(self.at) else { return };
            if byte == 0xFF {
                if self.bytes.get(self.at + 1) != Some(&0) {
                    return;
                }
                self.at += 1;
            }
            self.at += 1;
            self.held = self.held << 8 | u64::from(byte);
            self.count += 8;
        }
    }

    fn symbol(&mut self, table: &Table) -> Option<u8> {
        self.fill();
        // Past the end come zeros; a code that needs them is refused below.
        let ahead = if self.count >= 16 { self.held >> (self.count - 16) } else { self.held << (16 - self.count) };
        let &(symbol, length) = table.get((ahead & 0xFFFF) as usize)?;
        if length == 0 {
            return None;
        }
        self.skip(u32::from(length))?;
        Some(symbol)
    }

    fn skip(&mut self, bits: u32) -> Option<()> {
        if bits > self.count {
            self.fill();
        }
        self.count = self.count.checked_sub(bits)?;
        Some(())
    }

    /// Drops the bits that fill the last byte, and steps over a restart marker.
    fn restart(&mut self) -> Option<()> {
        let at = self.next_marker()?;
        if !matches!(self.bytes.get(at + 1)?, 0xD0..=0xD7) {
            return None;
        }
        (self.at, self.held, self.count) = (at + 2, 0, 0);
        Some(())
    }

    /// Where the next marker stands.
    fn next_marker(&self) -> Option<usize> {
        let mut at = self.at;
        while *self.bytes.get(at)? != 0xFF || matches!(self.bytes.get(at + 1)?, 0x00 | 0xFF) {
            at += 1;
        }
        Some(at)
    }
}
