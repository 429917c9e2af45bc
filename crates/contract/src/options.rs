//! What a client may ask for, as JSON in the header `Orfeas-Options`.

use serde::{Deserialize, Serialize};

use crate::{Code, Failure, Format, Stage};

/// The longest requested file name, in bytes.
pub const REQUESTED_NAME_LIMIT: usize = 200;

/// A job's options. Every field may be left out. In a client's header an unknown field is an error, so that a misspelt wish is never
/// silently ignored ([`Options::parse`]); in what stages tell each other it is a newer version's, and no reason to fail the job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// The files to write, all of one mesh. None: the suffix of `file_name`, or STL.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub formats: Vec<Format>,
    /// A file name for the result; its suffix chooses the format where `formats` is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_name: Option<String>,
    /// The engine that must make this job's field. The job fails if it is not there; it never gets another's mesh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// Seed of the noise (engines without noise ignore it, and say seed 0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Sampling steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u32>,
    /// Guidance scale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guidance: Option<f32>,
    /// Cells of the field along its longest side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<u32>,
    /// Simplify the mesh to about this many triangles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_faces: Option<u32>,
    /// Longest side of the finished object in millimetres.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_mm: Option<f32>,
    /// Whether the subject is cut out of its background.
    #[serde(default)]
    pub remove_background: BackgroundRemoval,
    /// How the surface is taken from the field.
    #[serde(default)]
    pub surface: SurfaceMethod,
    /// Pieces with fewer faces than this share of the largest piece's are left out; 0 keeps all. `None`: what the model says of
    /// itself, which infer puts here, else [`Self::DEFAULT_FLOATERS`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floaters: Option<f32>,
    /// Fill hollows that no opening leads into.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fill_cavities: bool,
    /// Iterations of smoothing that keeps the volume (Taubin).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smooth: Option<u32>,
    /// Fail the job with `not_printable` where the report says so, instead of completing with its reasons.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fail_unprintable: bool,
    /// How GLB files are encoded.
    #[serde(default)]
    pub glb_compression: GlbCompression,
}

/// What a client may say, by name: the fields of [`Options`].
const FIELDS: [&str; 16] = [
    "formats",
    "file_name",
    "engine",
    "seed",
    "steps",
    "guidance",
    "resolution",
    "target_faces",
    "size_mm",
    "remove_background",
    "surface",
    "floaters",
    "fill_cavities",
    "smooth",
    "fail_unprintable",
    "glb_compression",
];

/// How the surface is taken from the field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SurfaceMethod {
    /// Marching cubes: the reference's look.
    #[default]
    MarchingCubes,
    /// A dual method, which keeps edges and corners.
    Dual,
}

/// How GLB files are encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GlbCompression {
    /// Plain glTF 2.0, which everything reads.
    #[default]
    None,
    /// `EXT_meshopt_compression`: about a fourth of the size, for readers that know the extension.
    Meshopt,
}

/// When the background is removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackgroundRemoval {
    /// Use the picture's own alpha where it carries a shape, else segment.
    #[default]
    Auto,
    /// Segment, whatever the alpha says.
    Always,
    /// Take the alpha as it is; an opaque picture is all subject.
    Never,
}

/// Why options were refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum InvalidOptions {
    /// Not JSON, an unknown field, or a wrong type.
    #[error("the options are not valid: {0}")]
    Syntax(String),
    /// A format that is not written here.
    #[error(transparent)]
    Format(#[from] crate::UnknownFormat),
    /// A number outside its range, or an unusable name.
    #[error("option `{option}` is {value}; it must be {allowed}")]
    Range {
        /// The field.
        option: &'static str,
        /// What was sent.
        value: String,
        /// What may be sent.
        allowed: &'static str,
    },
}

impl InvalidOptions {
    /// The failure that the client is told.
    #[must_use]
    pub fn into_failure(self) -> Failure {
        let code = match self {
            Self::Format(_) => Code::UnknownFormat,
            Self::Syntax(_) | Self::Range { .. } => Code::InvalidOptions,
        };
        Failure::new(Stage::Ingest, code, self.to_string())
    }
}

impl Options {
    /// The largest options header, in bytes, that is looked at.
    pub const MAX_BYTES: usize = 16 * 1024;
    /// Longest side of a finished object where `size_mm` is not given.
    pub const DEFAULT_SIZE_MM: f32 = 100.0;
    /// Share of the largest piece's faces below which a piece is left out where `floaters` is not given: the
    /// reference's rule.
    pub const DEFAULT_FLOATERS: f32 = 0.005;

    /// Reads and checks the header's JSON.
    ///
    /// # Errors
    /// [`InvalidOptions`] says in one sentence what to change.
    pub fn parse(json: &str) -> Result<Self, InvalidOptions> {
        if json.len() > Self::MAX_BYTES {
            return Err(InvalidOptions::Syntax(format!("{} bytes, at most {} are read", json.len(), Self::MAX_BYTES)));
        }
        let value: serde_json::Value =
            serde_json::from_str(json).map_err(|error| InvalidOptions::Syntax(error.to_string()))?;
        // serde would take the values of an array by their places.
        let Some(object) = value.as_object() else {
            return Err(InvalidOptions::Syntax("it must be an object, {…}".to_owned()));
        };
        if let Some(unknown) = object.keys().find(|name| !FIELDS.contains(&name.as_str())) {
            let unknown: String = unknown.chars().take(64).collect();
            return Err(InvalidOptions::Syntax(format!(
                "unknown field `{unknown}`, expected one of `{}`",
                FIELDS.join("`, `")
            )));
        }
        // The formats first, by hand: serde would fold "unknown format" into a syntax error.
        if let Some(formats) = value.get("formats").and_then(serde_json::Value::as_array) {
            for name in formats.iter().filter_map(serde_json::Value::as_str) {
                Format::parse(name)?;
            }
        }
        let options: Self = serde_json::from_value(value).map_err(|error| InvalidOptions::Syntax(error.to_string()))?;
        options.checked()
    }

    /// Checks the ranges; every constructor from outside goes through here.
    ///
    /// # Errors
    /// [`InvalidOptions`] for the first value outside its range.
    pub fn checked(mut self) -> Result<Self, InvalidOptions> {
        fn within<T: PartialOrd + ToString + Copy>(
            option: &'static str,
            value: Option<T>,
            (low, high): (T, T),
            allowed: &'static str,
        ) -> Result<(), InvalidOptions> {
            match value {
                // Written so that NaN, which compares with nothing, is refused.
                Some(value) if !(value >= low && value <= high) => {
                    Err(InvalidOptions::Range { option, value: value.to_string(), allowed })
                }
                _ => Ok(()),
            }
        }
        within("steps", self.steps, (1, 200), "from 1 to 200")?;
        within("guidance", self.guidance, (0.0, 50.0), "from 0 to 50")?;
        within("resolution", self.resolution, (16, 1024), "from 16 to 1024")?;
        within("target_faces", self.target_faces, (100, 20_000_000), "from 100 to 20000000")?;
        within("size_mm", self.size_mm, (0.1, 10_000.0), "from 0.1 to 10000 millimetres")?;
        within("floaters", self.floaters, (0.0, 1.0), "from 0 to 1")?;
        within("smooth", self.smooth, (0, 100), "from 0 to 100")?;
        if let Some(engine) = &self.engine
            && (engine.is_empty()
                || engine.len() > 64
                || !engine.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)))
        {
            let value = engine.chars().take(64).collect();
            return Err(InvalidOptions::Range { option: "engine", value, allowed: "the name of an engine" });
        }
        if let Some(name) = &self.file_name {
            if name.is_empty() || name.len() > REQUESTED_NAME_LIMIT || name.chars().any(char::is_control) {
                let value = name.chars().take(64).collect();
                return Err(InvalidOptions::Range { option: "file_name", value, allowed: "a name of 1 to 200 bytes" });
            }
            if self.formats.is_empty() {
                self.formats.extend(Format::of_file_name(name)?);
            }
        }
        let mut seen = Vec::new();
        self.formats.retain(|format| {
            !seen.contains(format) && {
                seen.push(*format);
                true
            }
        });
        Ok(self)
    }

    /// The formats to write: what was asked for, or STL.
    #[must_use]
    pub fn formats(&self) -> Vec<Format> {
        if self.formats.is_empty() { vec![Format::Stl] } else { self.formats.clone() }
    }

    /// Longest side of the finished object in millimetres.
    #[must_use]
    pub fn size_mm(&self) -> f32 {
        self.size_mm.unwrap_or(Self::DEFAULT_SIZE_MM)
    }

    /// Share of the largest piece's faces below which a piece is left out.
    #[must_use]
    pub fn floaters(&self) -> f32 {
        self.floaters.unwrap_or(Self::DEFAULT_FLOATERS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(json: &str) -> Code {
        Options::parse(json).unwrap_err().into_failure().code
    }

    #[test]
    fn nothing_given_means_stl_of_100_mm() {
        let options = Options::parse("{}").unwrap();
        assert_eq!(options.formats(), [Format::Stl]);
        assert_eq!(options.size_mm().to_bits(), 100f32.to_bits());
        assert_eq!(options.remove_background, BackgroundRemoval::Auto);
    }

    #[test]
    fn formats_win_over_the_suffix_and_are_written_once() {
        let both = Options::parse(r#"{"formats":["GLB",".stl","glb"],"file_name":"duck.obj"}"#).unwrap();
        assert_eq!(both.formats(), [Format::Glb, Format::Stl]);
        assert_eq!(Options::parse(r#"{"file_name":"duck.3mf"}"#).unwrap().formats(), [Format::ThreeMf]);
        assert_eq!(Options::parse(r#"{"file_name":"duck"}"#).unwrap().formats(), [Format::Stl]);
    }

    #[test]
    fn each_mistake_has_its_code() {
        assert_eq!(code("not json"), Code::InvalidOptions);
        assert_eq!(code(r#"{"colour":"red"}"#), Code::InvalidOptions);
        assert_eq!(code(r#"{"formats":["step"]}"#), Code::UnknownFormat);
        assert_eq!(code(r#"{"file_name":"duck.step"}"#), Code::UnknownFormat);
        assert_eq!(code(r#"{"size_mm":-1}"#), Code::InvalidOptions);
        assert_eq!(code(r#"{"resolution":100000}"#), Code::InvalidOptions);
        assert_eq!(code(r#"{"steps":0}"#), Code::InvalidOptions);
        assert_eq!(code(r#"{"floaters":1.5}"#), Code::InvalidOptions);
        assert_eq!(code(r#"{"floaters":-0.1}"#), Code::InvalidOptions);
        assert_eq!(code(r#"{"smooth":101}"#), Code::InvalidOptions);
        assert_eq!(code(r#"{"surface":"nets"}"#), Code::InvalidOptions);
        assert_eq!(code(r#"{"glb_compression":"draco"}"#), Code::InvalidOptions);
        assert_eq!(code(r#"{"fill_cavities":1}"#), Code::InvalidOptions);
        assert_eq!(code(&format!("\"{}\"", "x".repeat(Options::MAX_BYTES))), Code::InvalidOptions);
        assert_eq!(code("[1]"), Code::InvalidOptions);
    }

    #[test]
    fn a_client_may_say_every_field_and_a_stage_hears_a_newer_ones() {
        let all = Options {
            formats: vec![Format::Glb],
            file_name: Some("duck.glb".into()),
            engine: Some("noop".into()),
            seed: Some(1),
            steps: Some(2),
            guidance: Some(3.0),
            resolution: Some(64),
            target_faces: Some(1000),
            size_mm: Some(50.0),
            remove_background: BackgroundRemoval::Never,
            surface: SurfaceMethod::Dual,
            floaters: Some(0.5),
            fill_cavities: true,
            smooth: Some(4),
            fail_unprintable: true,
            glb_compression: GlbCompression::Meshopt,
        };
        let mut json = serde_json::to_value(&all).unwrap();
        assert_eq!(Options::parse(&json.to_string()).unwrap(), all);
        let mut fields = FIELDS;
        fields.sort_unstable();
        assert!(json.as_object().unwrap().keys().eq(&fields));
        json["colour"] = "red".into();
        let refused = Options::parse(&json.to_string()).unwrap_err().to_string();
        assert!(refused.contains("unknown field `colour`, expected one of `formats`, "), "{refused}");
        assert_eq!(serde_json::from_value::<Options>(json).unwrap(), all);
    }

    #[test]
    fn options_survive_the_wire() {
        let options =
            Options::parse(r#"{"formats":["glb"],"seed":7,"guidance":5.5,"remove_background":"never"}"#).unwrap();
        let again = Options::parse(&serde_json::to_string(&options).unwrap()).unwrap();
        assert_eq!(options, again);
    }

    #[test]
    fn what_the_surface_is_told_has_the_agreed_names() {
        let none = Options::parse("{}").unwrap();
        assert_eq!((none.surface, none.glb_compression), (SurfaceMethod::MarchingCubes, GlbCompression::None));
        assert_eq!((none.floaters().to_bits(), none.smooth), (0.005f32.to_bits(), None));
        assert!(!none.fill_cavities && !none.fail_unprintable);
        let all = r#"{"surface":"dual","floaters":0.1,"fill_cavities":true,"smooth":10,"fail_unprintable":true,
            "glb_compression":"meshopt"}"#;
        let all = Options::parse(all).unwrap();
        assert_eq!((all.surface, all.glb_compression), (SurfaceMethod::Dual, GlbCompression::Meshopt));
        assert!(all.fill_cavities && all.fail_unprintable && all.smooth == Some(10));
        assert_eq!(Options::parse(&serde_json::to_string(&all).unwrap()).unwrap(), all);
    }
}
