//! Hugging Face folders: one `model.safetensors`, or shards listed in an index.

use super::{MappedFile, RawTensor, Weights};
use crate::error::{Error, Result};
use candle_core::quantized::GgmlDType;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// Opens the tensors of a folder: each is checked to lie inside its file, none is read.
///
/// # Errors
/// A folder without weights, a file that is truncated or corrupt, an index that names files
/// outside the folder or tensors its files do not hold, or an element type other than f32, f16
/// and bf16.
pub fn open_safetensors(folder: &Path) -> Result<Weights> {
    let mut tensors = BTreeMap::new();
    let index_path = folder.join(INDEX);
    if index_path.exists() {
        let index: Index = crate::files::read_json(&index_path)?;
        for shard in index.weight_map.values().collect::<BTreeSet<_>>() {
            let plain = Path::new(shard)
                .components()
                .all(|part| matches!(part, Component::Normal(_)));
            if !plain {
                let reason = format!("`{shard}` is no file inside the folder");
                return Err(Error::file(&index_path, reason));
            }
            add(&folder.join(shard), &mut tensors)?;
        }
        if let Some((name, shard)) = index
            .weight_map
            .iter()
            .find(|(name, _)| !tensors.contains_key(*name))
        {
            let reason = format!("missing, though {INDEX} lists it");
            return Err(Error::tensor(&folder.join(shard), name, reason));
        }
    } else {
        add(&folder.join(SINGLE), &mut tensors)?;
    }
    Ok(Weights::new(folder, tensors))
}

fn add(path: &Path, tensors: &mut BTreeMap<String, RawTensor>) -> Result<()> {
    let file = MappedFile::open(path)?;
    let (header, metadata) = SafeTensors::read_metadata(file.bytes())
        .map_err(|error| Error::file(path, format!("not a sound safetensors file: {error}")))?;
    // Tensor data follows the header and the eight bytes of its length.
    let data = size_of::<u64>() + header;
    let infos: BTreeMap<_, _> = metadata.tensors().into_iter().collect();
    for (name, info) in infos {
        let stored = match info.dtype {
            Dtype::F32 => GgmlDType::F32,
            Dtype::F16 => GgmlDType::F16,
            Dtype::BF16 => GgmlDType::BF16,
            other => {
                let value = format!("{other:?} (of `{name}`)");
                let supported = ["F32", "F16", "BF16"];
                return Err(Error::unsupported(path, "element type", value, &supported));
            }
        };
        let start = (data + info.data_offsets.0) as u64;
        let tensor = RawTensor::new(&file, &name, start, stored, info.shape.clone())?;
        if tensors.insert(name.clone(), tensor).is_some() {
            return Err(Error::tensor(path, &name, "occurs in two files"));
        }
    }
    Ok(())
}
