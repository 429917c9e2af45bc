//! Damaged weights.

use burn::tensor::DType;
use orfeas_hunyuan3d::ModelErrorKind::Weights;
use orfeas_hunyuan3d::trace::TraceRequest;
use orfeas_hunyuan3d::weights::{Checkpoint, Source};
use serde_json::json;

use super::{Taken, assert_says, error_of, folder_with, load, parity, refused};

/// A one-dimensional float32 tensor of the base case that is used as it stands.
const VICTIM: &str = "model.double_blocks.1.txt_mlp.2.bias";

fn refused_bytes(what: &str, bytes: &[u8], parts: &[&str]) {
    refused(what, folder_with(bytes).path(), Weights, parts);
}

#[test]
fn an_undamaged_copy_loads() {
    load(folder_with(&Taken::base().bytes()).path()).unwrap();
}

#[test]
fn truncated_anywhere() {
    let whole = Taken::base().bytes();
    let header = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let lengths = [0, 1, 4, 7, 8, 9, 8 + header / 2, 8 + header - 1, 8 + header, 8 + header + 1];
    for length in lengths.into_iter().chain([8 + header + (whole.len() - header) / 2, whole.len() - 1]) {
        refused_bytes(&format!("{length} bytes"), &whole[..length], &["model.safetensors"]);
    }
    let longer = [&whole[..], &[0]].concat();
    refused_bytes("a byte too many", &longer, &["model.safetensors"]);
}

#[test]
fn a_header_length_that_lies() {
    let whole = Taken::base().bytes();
    let own = u64::from_le_bytes(whole[..8].try_into().unwrap());
    let file = whole.len() as u64;
    for length in [0, 1, own - 1, own + 1, file - 8, file - 7, file, 1 << 32, 1 << 62, i64::MAX as u64, u64::MAX] {
        let lying = [&length.to_le_bytes()[..], &whole[8..]].concat();
        refused_bytes(&format!("a header of {length}"), &lying, &["model.safetensors"]);
    }
}

#[test]
fn a_header_that_is_none() {
    let with = |header: &[u8]| [&(header.len() as u64).to_le_bytes()[..], header].concat();
    let deep = [vec![b'['; 200_000], vec![b']'; 200_000]].concat();
    let deeper = "{\"a\":".repeat(100_000);
    let invalid: [&[u8]; 11] = [
        b"",
        b"not JSON at all",
        b"null",
        b"[]",
        b"3",
        b"{\"a\":",
        b"{\"a\":1}",
        b"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}",
        b"\xff\xfe{}",
        &deep,
        deeper.as_bytes(),
    ];
    for header in invalid {
        let shown = String::from_utf8_lossy(&header[..header.len().min(20)]).into_owned();
        refused_bytes(&shown, &with(header), &["model.safetensors"]);
    }
    // A valid file that holds nothing.
    refused_bytes("no tensors", &with(b"{}"), &["no tensor", "conditioner.main_image_encoder.model"]);
}

#[test]
fn offsets_that_lie() {
    let taken = Taken::base();
    let names = taken.names();
    let (first, last) = (&names[0], &names[names.len() - 1]);
    let [begin, end] = taken.offsets(last);
    let damage = |what: &str, name: &str, offsets: serde_json::Value| {
        let mut taken = taken.clone();
        taken.header[name]["data_offsets"] = offsets;
        refused_bytes(what, &taken.bytes(), &["model.safetensors"]);
    };
    damage("beyond the end", last, json!([begin + 4, end + 4]));
    damage("far beyond the end", last, json!([begin, u64::MAX]));
    damage("wrapping around", last, json!([u64::MAX - 3, u64::MAX]));
    damage("longer than its shape", last, json!([begin, end + 4]));
    damage("shorter than its shape", last, json!([begin, end - 4]));
    damage("at an odd byte", last, json!([begin + 1, end + 1]));
    damage("backwards", last, json!([end, begin]));
    damage("negative", last, json!([-4, end]));
    damage("not whole", last, json!([begin as f64 + 0.5, end]));
    damage("as text", last, json!(["0", "4"]));
    damage("one alone", last, json!([begin]));
    damage("three", last, json!([begin, end, end]));
    damage("over another", last, json!(taken.offsets(first)));
    // The same bytes under two names.
    let mut twice = taken.clone();
    let info = twice.header[last].clone();
    twice.header.insert("zz.again".into(), info);
    refused_bytes("two names for the same bytes", &twice.bytes(), &["model.safetensors"]);
}

#[test]
fn shapes_that_lie() {
    let taken = Taken::base();
    let damage = |what: &str, shape: serde_json::Value, parts: &[&str]| {
        let mut taken = taken.clone();
        taken.header[VICTIM]["shape"] = shape;
        refused_bytes(what, &taken.bytes(), parts);
    };
    damage("too large", json!([65]), &["model.safetensors"]);
    damage("negative", json!([-64]), &["model.safetensors"]);
    damage("beyond counting", json!([1u64 << 63, 4]), &["model.safetensors"]);
    damage("the bytes beyond counting", json!([1u64 << 62, 2]), &["model.safetensors"]);
    // As many elements, but not the shape that the configuration asks for.
    damage("transposed", json!([1, 64]), &[VICTIM, "[1, 64]", "[64]"]);
    damage("square", json!([8, 8]), &[VICTIM, "[8, 8]", "[64]"]);
    let mut other = taken.clone();
    other.remove(VICTIM);
    other.push(VICTIM, "F32", &[63], &[0; 252]);
    refused_bytes("one element short", &other.bytes(), &[VICTIM, "[63]", "[64]"]);
    other.remove(VICTIM);
    other.push(VICTIM, "F32", &[], &[0; 4]);
    refused_bytes("a scalar", &other.bytes(), &[VICTIM, "[]", "[64]"]);
}

#[test]
fn types_that_are_not_read() {
    let taken = Taken::base();
    for (dtype, bytes) in [("I32", 256), ("F64", 512), ("I64", 512), ("U8", 64), ("BOOL", 64), ("I16", 128)] {
        let mut taken = taken.clone();
        taken.remove(VICTIM);
        taken.push(VICTIM, dtype, &[64], &vec![0; bytes]);
        refused_bytes(dtype, &taken.bytes(), &[VICTIM, dtype]);
    }
    let mut unknown = taken.clone();
    unknown.header[VICTIM]["dtype"] = json!("F13");
    refused_bytes("an unknown type", &unknown.bytes(), &["model.safetensors", "F13"]);
}

#[test]
fn a_missing_and_a_surplus_tensor_of_every_part() {
    let taken = Taken::base();
    for prefix in ["conditioner.", "model.", "vae."] {
        let names: Vec<_> = taken.names().into_iter().filter(|name| name.starts_with(prefix)).collect();
        for name in [&names[0], &names[names.len() / 2], &names[names.len() - 1]] {
            let mut less = taken.clone();
            less.remove(name);
            refused_bytes("a missing tensor", &less.bytes(), &["no tensor", name]);
        }
        let mut more = taken.clone();
        let name = format!("{prefix}of.another.model");
        more.push(&name, "F32", &[1], &[0; 4]);
        refused_bytes("a surplus tensor", &more.bytes(), &[&name]);
    }
    let mut more = taken.clone();
    (0..7).for_each(|index| more.push(&format!("optimizer.{index}"), "F32", &[1], &[0; 4]));
    refused_bytes("seven surplus tensors", &more.bytes(), &["optimizer.0", "4 more"]);
    // A name that is a prefix of another, and one beside the sections.
    let mut odd = taken;
    odd.push("mode", "F32", &[1], &[0; 4]);
    refused_bytes("no section's tensor", &odd.bytes(), &["\"mode\""]);
}

#[test]
fn what_is_no_number() {
    let taken = Taken::base();
    for prefix in ["conditioner.", "model.", "vae."] {
        let names: Vec<_> = taken.names().into_iter().filter(|name| name.starts_with(prefix)).collect();
        let name = &names[names.len() / 3];
        let [begin, end] = taken.offsets(name);
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::from_bits(0xff80_0001)] {
            for at in [begin, end - 4] {
                let mut taken = taken.clone();
                taken.data[at..at + 4].copy_from_slice(&value.to_le_bytes());
                refused_bytes(&format!("{value} at {at}"), &taken.bytes(), &[name, "finite"]);
            }
        }
    }
}

/// A file with one tensor `x`, read in a precision.
fn one(value: f32, dtype: &str, to: DType) -> Result<Vec<f32>, orfeas_hunyuan3d::ModelError> {
    let bytes = match dtype {
        "F32" => value.to_le_bytes().to_vec(),
        "BF16" => half::bf16::from_f32(value).to_le_bytes().to_vec(),
        _ => half::f16::from_f32(value).to_le_bytes().to_vec(),
    };
    let mut taken = Taken { header: serde_json::Map::new(), data: Vec::new() };
    taken.push("x", dtype, &[1], &bytes);
    let folder = folder_with(&taken.bytes());
    let data = Checkpoint::open(folder.path()).unwrap().tensor("x", &[1], to)?;
    Ok(data.convert_dtype(DType::F32).into_vec().unwrap())
}

#[test]
fn too_large_only_for_the_precision_that_cannot_hold_it() {
    for value in [7e4f32, -1e6, 1e30] {
        for dtype in ["F32", "BF16"] {
            let what = format!("{value} as {dtype}");
            let error = error_of(&what, || one(value, dtype, DType::F16));
            assert_says(&what, &error, Weights, &["\"x\"", "float16"]);
            for to in [DType::F32, DType::BF16] {
                let read = one(value, dtype, to).unwrap_or_else(|error| panic!("{what} to {to:?}: {error}"))[0];
                assert!((read / value - 1.0).abs() < 0.01, "{what} to {to:?}: {read}");
            }
        }
    }
    // The largest of each precision are numbers in it; so is what rounds down to them.
    assert_eq!(one(65_504.0, "F32", DType::F16).unwrap(), [65_504.0]);
    assert_eq!(one(65_519.0, "F32", DType::F16).unwrap(), [65_504.0]);
    assert!(one(65_520.0, "F32", DType::F16).is_err());
    assert_eq!(one(f32::MAX, "F32", DType::F32).unwrap(), [f32::MAX]);
    let error = error_of("rounds up to infinity", || one(f32::MAX, "F32", DType::BF16));
    assert_says("rounds up to infinity", &error, Weights, &["\"x\"", "bfloat16"]);
    assert_eq!(one(half::bf16::MAX.to_f32(), "BF16", DType::BF16).unwrap(), [half::bf16::MAX.to_f32()]);
    assert_eq!(one(1e-45, "F32", DType::F16).unwrap(), [0.0]);
}

#[test]
fn a_pickle_is_refused_and_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let proof = folder.path().join("executed");
    std::fs::copy(parity("base").join("config.yaml"), folder.path().join("config.yaml")).unwrap();
    let pickle = format!("cos\nsystem\n(S'touch {}'\ntR.", proof.display());
    for name in ["model.ckpt", "model.fp16.ckpt"] {
        std::fs::write(folder.path().join(name), &pickle).unwrap();
        let to = name.replace("ckpt", "safetensors");
        refused(name, folder.path(), Weights, &[name, &to, "python3 -c", "weights_only=True"]);
    }
    assert!(!proof.exists(), "the pickle was run");
}

#[test]
fn no_weights_or_something_else_in_their_place() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(parity("base").join("config.yaml"), folder.path().join("config.yaml")).unwrap();
    refused("no weights", folder.path(), Weights, &["no weights", "model.fp16.safetensors", "model.safetensors"]);
    std::fs::create_dir(folder.path().join("model.safetensors")).unwrap();
    refused("a folder of that name", folder.path(), Weights, &["model.safetensors"]);
    // The half precision file goes first; a bad one is not passed over in silence.
    let folder = folder_with(&Taken::base().bytes());
    std::fs::write(folder.path().join("model.fp16.safetensors"), b"short").unwrap();
    refused("a short half precision file", folder.path(), Weights, &["model.fp16.safetensors"]);
}

#[test]
fn a_noise_file_that_is_none() {
    let request = || TraceRequest { views: vec![], latents: None, queries: None, seed: 0, steps: 1, guidance: 5.0 };
    let read = |what: &str, tensors: &[(&str, &str, &[usize], usize)]| {
        let mut taken = Taken { header: serde_json::Map::new(), data: Vec::new() };
        tensors.iter().for_each(|(name, dtype, shape, bytes)| taken.push(name, dtype, shape, &vec![0; *bytes]));
        let folder = folder_with(&taken.bytes());
        error_of(what, || request().take_noise(&folder.path().join("model.safetensors")))
    };
    assert_says("none", &read("none", &[("noise", "F32", &[1], 4)]), Weights, &["latents_0"]);
    assert_says("bytes", &read("bytes", &[("latents_0", "U8", &[8], 8)]), Weights, &["latents_0", "U8"]);
    let both: [(&str, &str, &[usize], usize); 2] = [("latents_0", "F32", &[2], 8), ("queries", "U8", &[3], 3)];
    assert_says("queries", &read("queries of bytes", &both), Weights, &["queries", "U8"]);
    let missing = error_of("no file", || request().take_noise(std::path::Path::new("/nowhere/noise.safetensors")));
    assert_says("no file", &missing, Weights, &["/nowhere/noise.safetensors"]);
}
