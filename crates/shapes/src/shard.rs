//! Files of samples.
//!
//! ```text
//! "ORFSHARD"  version: u32  header's bytes: u32  header: JSON
//! then for each sample: picture's bytes: u32, picture: PNG (RGBA), points: i16 × 3, distances: i16,
//!                       surface points: i16 × 3, their normals: i8 × 3
//! checksum of all before: u64 (FNV-1a; against damage, not malice)
//! ```
//!
//! Numbers are little-endian. Units are those of [`Sample`]'s fields. The header says how many of each there are and
//! what each sample is of, so that a reader needs nothing else.

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use serde::{Deserialize, Serialize};

use crate::render::Camera;
use crate::sample::Sample;
use crate::{Family, ShapeError};

const MAGIC: &[u8; 8] = b"ORFSHARD";
/// The version that is written, and the only one that is read.
pub const VERSION: u32 = 1;
/// More of anything than a shard may say it has.
const MOST: usize = 1 << 20;

#[derive(Serialize, Deserialize)]
struct Header {
    points: usize,
    surface: usize,
    samples: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    family: String,
    seed: u64,
    view: u32,
    azimuth: f32,
    elevation: f32,
    field_of_view: f32,
}

/// Samples → a shard's bytes. All must have as many points as the first.
///
/// # Errors
/// [`ShapeError::Shard`] where they have not, or a picture cannot be encoded.
pub fn encode(samples: &[Sample]) -> Result<Vec<u8>, ShapeError> {
    let (points, surface) = samples.first().map_or((0, 0), |first| (first.points.len(), first.surface.len()));
    let entry = |sample: &Sample| Entry {
        family: sample.family.to_owned(),
        seed: sample.seed,
        view: sample.view,
        azimuth: sample.camera.azimuth,
        elevation: sample.camera.elevation,
        field_of_view: sample.camera.field_of_view,
    };
    let header = Header { points, surface, samples: samples.iter().map(entry).collect() };
    let header = serde_json::to_vec(&header).map_err(|error| ShapeError::Shard(error.to_string()))?;
    let mut bytes = MAGIC.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend((header.len() as u32).to_le_bytes());
    bytes.extend(header);
    for sample in samples {
        if sample.points.len() != points || sample.distances.len() != points || sample.surface.len() != surface {
            return Err(ShapeError::Shard(format!("{} {} has other numbers of points", sample.family, sample.seed)));
        }
        let mut png = Vec::new();
        let (width, height) = sample.picture.dimensions();
        PngEncoder::new_with_quality(&mut png, CompressionType::Fast, FilterType::Adaptive)
            .write_image(sample.picture.as_raw(), width, height, ExtendedColorType::Rgba8)
            .map_err(|error| ShapeError::Shard(error.to_string()))?;
        bytes.extend((png.len() as u32).to_le_bytes());
        bytes.extend(png);
        sample.points.iter().flatten().chain(&sample.distances).for_each(|x| bytes.extend(x.to_le_bytes()));
        sample.surface.iter().flatten().for_each(|x| bytes.extend(x.to_le_bytes()));
        sample.normals.iter().flatten().for_each(|x| bytes.extend(x.to_le_bytes()));
    }
    bytes.extend(checksum(&bytes).to_le_bytes());
    Ok(bytes)
}

/// A shard's bytes → its samples.
///
/// # Errors
/// [`ShapeError::Shard`] for what is no shard, of another version, cut short or damaged; `UnknownFamily`.
pub fn decode(bytes: &[u8]) -> Result<Vec<Sample>, ShapeError> {
    let bad = |what: &str| ShapeError::Shard(what.to_owned());
    if bytes.len() < 24 || &bytes[..8] != MAGIC {
        return Err(bad("this is no shard"));
    }
    let (body, sum) = bytes.split_at(bytes.len() - 8);
    let mut reader = Reader(&body[8..]);
    let version = reader.number()?;
    if version != VERSION as usize {
        return Err(ShapeError::Shard(format!("version {version} is not {VERSION}")));
    }
    if sum != checksum(body).to_le_bytes() {
        return Err(bad("the checksum differs: the file is damaged or cut short"));
    }
    let length = reader.number()?;
    let header: Header = serde_json::from_slice(reader.take(length)?).map_err(|error| bad(&error.to_string()))?;
    if header.points > MOST || header.surface > MOST {
        return Err(bad("the header promises too many points"));
    }
    let mut samples = Vec::with_capacity(header.samples.len());
    for entry in header.samples {
        let length = reader.number()?;
        let picture = image::load_from_memory_with_format(reader.take(length)?, image::ImageFormat::Png)
            .map_err(|error| bad(&error.to_string()))?
            .into_rgba8();
        let points = reader.triples(header.points)?;
        let distances =
            reader.take(2 * header.points)?.chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect();
        let surface = reader.triples(header.surface)?;
        let normals = reader.take(3 * header.surface)?.chunks_exact(3);
        let normals = normals.map(|b| [b[0], b[1], b[2]].map(|x| i8::from_le_bytes([x]))).collect();
        let (azimuth, elevation, field_of_view) = (entry.azimuth, entry.elevation, entry.field_of_view);
        samples.push(Sample {
            family: Family::named(&entry.family)?.name,
            seed: entry.seed,
            view: entry.view,
            camera: Camera { azimuth, elevation, field_of_view },
            picture,
            points,
            distances,
            surface,
            normals,
        });
    }
    if reader.0.is_empty() { Ok(samples) } else { Err(bad("there is more than the header says")) }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], ShapeError> {
        if count > self.0.len() {
            return Err(ShapeError::Shard("there is less than the header says".to_owned()));
        }
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<usize, ShapeError> {
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize)
    }

    fn triples(&mut self, count: usize) -> Result<Vec<[i16; 3]>, ShapeError> {
        let triple = |b: &[u8]| std::array::from_fn(|k| i16::from_le_bytes([b[2 * k], b[2 * k + 1]]));
        Ok(self.take(6 * count)?.chunks_exact(6).map(triple).collect())
    }
}

fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
