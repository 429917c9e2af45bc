//! One section of the configuration: the reference's class and its parameters.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::ModelError;

/// A section as it stands in the file.
pub struct Section {
    /// Its name there.
    pub name: &'static str,
    /// The reference's class.
    pub target: String,
    params: Value,
}

/// Reads the file's text into its top-level mapping.
pub fn root(text: &str) -> Result<Map<String, Value>, ModelError> {
    match serde_saphyr::from_str(text) {
        Ok(Value::Object(root)) => Ok(root),
        Ok(_) => Err(ModelError::config("config.yaml is no mapping of sections")),
        Err(error) => {
            let error = error.to_string();
            Err(ModelError::config(format!("config.yaml is no valid YAML: {}", error.lines().next().unwrap_or("?"))))
        }
    }
}

/// Refuses sections that nobody took.
pub fn nothing_left(root: &Map<String, Value>) -> Result<(), ModelError> {
    match root.keys().next() {
        Some(name) => Err(ModelError::config(format!("config.yaml has an unknown section {name:?}"))),
        None => Ok(()),
    }
}

/// The path of the field that is at fault, below `path`: the one without which the error is another. Serde tells what
/// is wrong with a value, not where it stands.
fn culprit<T: DeserializeOwned>(params: &Value, path: &str, error: &str) -> Option<String> {
    // No section of ours has so many fields, and each costs a reading of all.
    const MOST: usize = 64;
    let fields = params.pointer(path)?.as_object().filter(|fields| fields.len() <= MOST)?;
    fields.keys().find_map(|name| {
        let mut without = params.clone();
        without.pointer_mut(path)?.as_object_mut()?.remove(name);
        let other = serde_json::from_value::<T>(without).err().map(|other| other.to_string());
        let inner = format!("{path}/{name}");
        (other.as_deref() != Some(error)).then(|| culprit::<T>(params, &inner, error).unwrap_or(inner))
    })
}

impl Section {
    /// Takes a section out of the file.
    pub fn take(root: &mut Map<String, Value>, name: &'static str) -> Result<Self, ModelError> {
        let missing = || ModelError::config(format!("config.yaml has no section {name:?}"));
        Self::from_value(name, root.remove(name).ok_or_else(missing)?)
    }

    /// A section from its value.
    pub fn from_value(name: &'static str, value: Value) -> Result<Self, ModelError> {
        let wrong = |what: &str| ModelError::config(format!("config.yaml: section {name:?} {what}"));
        let Value::Object(mut section) = value else { return Err(wrong("is no mapping")) };
        let Some(Value::String(target)) = section.remove("target") else { return Err(wrong("names no target")) };
        let params = match section.remove("params") {
            None | Some(Value::Null) => Value::Object(Map::new()),
            Some(params @ Value::Object(_)) => params,
            Some(_) => return Err(wrong("has params that are no mapping")),
        };
        match section.keys().next() {
            Some(other) => Err(wrong(&format!("has an unknown field {other:?}"))),
            None => Ok(Self { name, target, params }),
        }
    }

    /// Refuses a class that this crate does not implement.
    pub fn expect(&self, target: &str) -> Result<(), ModelError> {
        if self.target == target { Ok(()) } else { Err(self.unknown_class(&[target])) }
    }

    /// The error for a class that is none of `known`.
    pub fn unknown_class(&self, known: &[&str]) -> ModelError {
        ModelError::config(format!(
            "config.yaml: {} has the class {:?}; known here: {}",
            self.name,
            self.target,
            known.join(", ")
        ))
    }

    /// Reads the parameters; an unknown one is an error that names it.
    pub fn params<T: DeserializeOwned>(&self) -> Result<T, ModelError> {
        serde_json::from_value(self.params.clone()).map_err(|error| {
            let error = error.to_string();
            match culprit::<T>(&self.params, "", &error) {
                Some(path) => self.wrong(&format!("{}: {error}", path[1..].replace('/', "."))),
                None => self.wrong(&error),
            }
        })
    }

    /// Refuses parameters where there are none to have.
    pub fn no_params(&self) -> Result<(), ModelError> {
        match self.params.as_object().and_then(|params| params.keys().next()) {
            Some(name) => Err(self.wrong(&format!("unknown field {name:?}"))),
            None => Ok(()),
        }
    }

    /// An error about this section.
    pub fn wrong(&self, what: &str) -> ModelError {
        ModelError::config(format!("config.yaml: {}: {what}", self.name))
    }

    /// Refuses a size that is zero or beyond what any published model comes near, before anything is allocated by it.
    pub fn sizes(&self, sizes: &[(&str, usize)]) -> Result<(), ModelError> {
        const MOST: usize = 1 << 16;
        match sizes.iter().find(|(_, size)| *size == 0 || *size > MOST) {
            Some((name, size)) => Err(self.wrong(&format!("{name} is {size}; it must be from 1 to {MOST}"))),
            None => Ok(()),
        }
    }

    /// Refuses a width that does not split into heads.
    pub fn heads(&self, width: usize, heads: usize) -> Result<(), ModelError> {
        if heads == 0 || !width.is_multiple_of(heads) {
            return Err(self.wrong(&format!("a width of {width} does not split into {heads} heads")));
        }
        Ok(())
    }
}
