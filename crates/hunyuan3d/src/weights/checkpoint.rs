//! A safetensors file, mapped into memory and read tensor by tensor.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use burn::tensor::{AllocationProperty, Bytes, DType, TensorData};
use half::{bf16, f16};
use memmap2::Mmap;
use safetensors::Dtype;
use safetensors::tensor::{Metadata, SafeTensors, TensorInfo};
use sha2::{Digest, Sha256};

use super::Source;
use super::convert::{convert, is_finite, is_kept, width};
use crate::ModelError;

/// The names of weights in a checkpoint folder, the first that exists is taken.
pub const WEIGHT_FILES: [&str; 2] = ["model.fp16.safetensors", "model.safetensors"];

/// A checkpoint's weights.
pub struct Checkpoint {
    path: PathBuf,
    /// The mapped file, whose parts tensors on their way to a device share.
    map: bytes::Bytes,
    /// Where the tensors' bytes begin.
    data: usize,
    metadata: BTreeMap<String, TensorInfo>,
    /// What stands before a name here that the file does not have: a shape decoder published on its own has no `vae.`.
    prefix: String,
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Checkpoint {
    /// Opens the weights of a checkpoint folder.
    ///
    /// # Errors
    /// [`crate::ModelErrorKind::Weights`] for no file, a truncated one, or a header that lies.
    pub fn open(folder: &Path) -> Result<Self, ModelError> {
        let found = WEIGHT_FILES.iter().map(|name| folder.join(name)).find(|path| path.exists());
        match found {
            Some(path) => Self::open_file(path),
            None => Err(no_weights(folder)),
        }
    }

    /// Takes every name of the file as if `prefix` stood before it.
    #[must_use]
    pub fn below(mut self, prefix: &str) -> Self {
        self.prefix = prefix.to_owned();
        self
    }

    fn open_file(path: PathBuf) -> Result<Self, ModelError> {
        let wrong = |what: String| ModelError::weights(format!("{} {what}", path.display()));
        let file = File::open(&path).map_err(|error| wrong(format!("cannot be opened: {error}")))?;
        // Not through the page tables of an empty file, which cannot be mapped.
        if file.metadata().map_or(0, |metadata| metadata.len()) < 8 {
            return Err(wrong("is no safetensors file: it ends within its first eight bytes".into()));
        }
        // SAFETY: a map is undefined behaviour if the file shrinks or changes meanwhile. Checkpoints are written once,
        // under another name, and renamed into place; nothing of ours ever writes to one. The issue asks for the map:
        // 4.6 GiB must not be copied into memory.
        #[allow(unsafe_code)]
        let map = unsafe { Mmap::map(&file) }.map_err(|error| wrong(format!("cannot be mapped: {error}")))?;
        // Checks that the header's length and every tensor's offsets tile the file exactly.
        let (length, metadata) = SafeTensors::read_metadata(&map)
            .map_err(|error| wrong(format!("is no valid safetensors file: {error}")))?;
        let tiled = tensors(&metadata).map(|(_, info)| info.data_offsets.1).max().unwrap_or(0);
        let data = length + 8;
        if data.checked_add(tiled) != Some(map.len()) {
            return Err(wrong(format!(
                "is truncated or has bytes to spare: its header speaks of {} bytes, it has {}",
                data.saturating_add(tiled),
                map.len()
            )));
        }
        let metadata = tensors(&metadata).map(|(name, info)| (name.to_owned(), info.clone())).collect();
        Ok(Self { path, map: bytes::Bytes::from_owner(map), data, metadata, prefix: String::new() })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// SHA-256 of the whole file, in hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> String {
        sha256_hex(&self.map[..])
    }

    /// Elements of all tensors.
    #[must_use]
    pub fn parameters(&self) -> u64 {
        self.metadata.values().map(|info| info.shape.iter().product::<usize>() as u64).sum()
    }

    /// A tensor of any shape as float32, also one with values that are no number: goldens and given noise.
    ///
    /// # Errors
    /// [`crate::ModelErrorKind::Weights`] for a missing tensor, or one that holds neither floats nor int64.
    pub fn any(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>), ModelError> {
        let info = self.info(name)?;
        let bytes = self.bytes_of(info);
        let values = match info.dtype {
            Dtype::F32 => bytes.as_chunks().0.iter().map(|word| f32::from_le_bytes(*word)).collect(),
            Dtype::F16 => bytes.as_chunks().0.iter().map(|pair| f16::from_le_bytes(*pair).to_f32()).collect(),
            Dtype::BF16 => bytes.as_chunks().0.iter().map(|pair| bf16::from_le_bytes(*pair).to_f32()).collect(),
            Dtype::I64 => bytes.as_chunks().0.iter().map(|word| i64::from_le_bytes(*word) as f32).collect(),
            other => return Err(ModelError::weights(format!("tensor {name:?} is of type {other:?}"))),
        };
        Ok((info.shape.clone(), values))
    }

    /// Opens any safetensors file.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_path(path: &Path) -> Result<Self, ModelError> {
        Self::open_file(path.to_owned())
    }

    /// Whether there is a tensor of that name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.info(name).is_ok()
    }

    fn bytes_of(&self, info: &TensorInfo) -> &[u8] {
        &self.map[self.data + info.data_offsets.0..self.data + info.data_offsets.1]
    }

    fn info(&self, name: &str) -> Result<&TensorInfo, ModelError> {
        let missing = || {
            let path = self.path.display();
            ModelError::weights(format!("{path} has no tensor {name:?}, which config.yaml asks for"))
        };
        self.metadata.get(name.strip_prefix(&self.prefix).ok_or_else(missing)?).ok_or_else(missing)
    }
}

fn tensors(metadata: &Metadata) -> impl Iterator<Item = (String, &TensorInfo)> {
    metadata.tensors().into_iter()
}

fn no_weights(folder: &Path) -> ModelError {
    let pickle = ["model.fp16.ckpt", "model.ckpt"].iter().find(|name| folder.join(name).exists());
    let quoted = |path: std::path::PathBuf| format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"));
    match pickle {
        Some(name) => {
            // Reading a pickle runs what stands in it; conversion belongs where the file is trusted. A whole model has
            // its parts in one dictionary each, a VAE of its own has its tensors side by side.
            let to = quoted(folder.join(name.replace(".ckpt", ".safetensors")));
            let from = quoted(folder.join(name));
            ModelError::weights(format!(
                "{} has only {name}, a PyTorch pickle, which is not read here; convert it with: python3 -c \
                 \"import sys,torch,safetensors.torch as s; c=torch.load(sys.argv[1],map_location='cpu',weights_only=True); \
                 s.save_file({{f'{{p}}.{{k}}'.rstrip('.'):v.contiguous().clone() for p,d in c.items() for k,v in \
                 (d if isinstance(d,dict) else {{'':d}}).items()}},sys.argv[2])\" {from} {to}",
                folder.display()
            ))
        }
        None => {
            let [first, second] = WEIGHT_FILES;
            ModelError::weights(format!("{} has no weights: neither {first} nor {second}", folder.display()))
        }
    }
}

impl Source for Checkpoint {
    fn tensor(&self, name: &str, shape: &[usize], dtype: DType) -> Result<TensorData, ModelError> {
        let info = self.info(name)?;
        let wrong = |what: String| ModelError::weights(format!("{}: tensor {name:?} {what}", self.path.display()));
        if info.shape != shape {
            return Err(wrong(format!("has the shape {:?}, config.yaml asks for {shape:?}", info.shape)));
        }
        if width(info.dtype).is_none() {
            return Err(wrong(format!("is of type {:?}; float32, float16 and bfloat16 are read", info.dtype)));
        }
        let no_number = || wrong(format!("holds a value that is no finite number in {}", crate::precision_name(dtype)));
        let stored = self.bytes_of(info);
        // What is stored as it is wanted is given on from where it lies: one copy of 4.6 GiB less at a start.
        if is_kept(info.dtype, dtype) && (stored.as_ptr() as usize).is_multiple_of(dtype.size()) {
            if !is_finite(stored, info.dtype) {
                return Err(no_number());
            }
            let bytes = Bytes::from_shared(self.map.slice_ref(stored), AllocationProperty::Other);
            return Ok(TensorData { bytes, shape: shape.into(), dtype });
        }
        let converted = convert(stored, info.dtype, dtype).ok_or_else(no_number)?;
        Ok(TensorData::from_bytes_vec(converted, shape.to_vec(), dtype))
    }

    fn names(&self) -> Vec<String> {
        self.metadata.keys().map(|name| format!("{}{name}", self.prefix)).collect()
    }

    fn stored_bytes(&self, name: &str) -> u64 {
        self.info(name).map_or(0, |info| (info.data_offsets.1 - info.data_offsets.0) as u64)
    }

    fn bytes(&self) -> u64 {
        (self.map.len() - self.data) as u64
    }
}
