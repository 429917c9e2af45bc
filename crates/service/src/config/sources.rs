//! Where settings come from: defaults < file < environment < flags, layered by the `config` crate.

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command};
use config::{ConfigError, FileFormat, Format, Map, Source, Value, ValueKind};

use super::{
    error::{Mistake, nearest},
    service::Service,
    settings::{CONFIG_ENV, MODELS_ENV, SETTINGS, Setting},
};

/// What a configuration is read from. A test makes one by hand; a program by [`Sources::from_process`].
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// A TOML file of flat `key = value` lines.
    pub file: Option<PathBuf>,
    /// Environment variables.
    pub environment: Vec<(String, String)>,
    /// Flags as pairs of a setting's key (`nats_url`) and its text.
    pub flags: Vec<(String, String)>,
}

/// What the command line asks for.
#[derive(Clone, Debug)]
pub enum Invocation {
    /// Run with these sources.
    Run(Sources),
    /// Print the effective configuration and end.
    PrintConfig(Sources),
    /// Print this text (help or version) and end well.
    Print(String),
}

impl Sources {
    /// The sources of a process: its environment and its arguments (the first is the program's name).
    ///
    /// # Errors
    /// A text for standard error, where the arguments cannot be understood.
    pub fn from_process(
        service: Service,
        args: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    ) -> Result<Invocation, String> {
        match command(service).try_get_matches_from(args) {
            Ok(matches) => {
                let sources = Self::from_matches(service, &matches);
                Ok(if matches.get_flag("print-config") {
                    Invocation::PrintConfig(sources)
                } else {
                    Invocation::Run(sources)
                })
            }
            Err(error) if error.use_stderr() => Err(error.render().to_string()),
            Err(error) => Ok(Invocation::Print(error.render().to_string())),
        }
    }

    /// The process's environment and what [`with_flags`] added to a command that was already parsed.
    #[must_use]
    pub fn from_matches(service: Service, matches: &ArgMatches) -> Self {
        let environment = process_environment();
        let named = environment.iter().find(|(name, value)| name == CONFIG_ENV && !value.is_empty());
        let file = matches.get_one::<PathBuf>("config").cloned().or_else(|| named.map(|(_, path)| PathBuf::from(path)));
        let flags = SETTINGS
            .iter()
            .filter(|setting| setting.concerns(service))
            .filter_map(|setting| Some((setting.key.to_owned(), matches.get_one::<String>(setting.key)?.clone())))
            .collect();
        Self { file, environment, flags }
    }

    /// The process's environment and the file it names, without flags.
    #[must_use]
    pub fn from_environment() -> Self {
        let environment = process_environment();
        let file = environment
            .iter()
            .find(|(name, value)| name == CONFIG_ENV && !value.is_empty())
            .map(|(_, path)| PathBuf::from(path));
        Self { file, environment, flags: Vec::new() }
    }

    /// These sources with one more flag, which wins over what was there.
    #[must_use]
    pub fn with(mut self, key: &str, text: impl Into<String>) -> Self {
        self.flags.push((key.to_owned(), text.into()));
        self
    }
}

/// The environment; what is no Unicode cannot be a setting's name, and is refused later where it is a setting's value.
fn process_environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
        .collect()
}

/// A program's command: every setting as a flag, `--config`, `--print-config`, `--help`, `--version`.
#[must_use]
pub fn command(service: Service) -> Command {
    with_flags(
        Command::new(format!("orfeas-{service}")).version(env!("CARGO_PKG_VERSION")).about(service.about()),
        service,
    )
}

/// Adds a program's flags to a command, so that the `orfeas` command can carry the services as subcommands.
#[must_use]
pub fn with_flags(command: Command, service: Service) -> Command {
    let config = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(clap::value_parser!(PathBuf))
        .help(format!("Settings as flat TOML lines; the environment and flags win over it [env: {CONFIG_ENV}]"));
    let print = Arg::new("print-config")
        .long("print-config")
        .action(ArgAction::SetTrue)
        .help("Print the effective configuration, secrets masked, and end");
    let flags = SETTINGS.iter().filter(|setting| setting.concerns(service)).map(|setting| {
        let default = setting.default_for(service).map_or_else(String::new, |text| format!(" [default: {text}]"));
        Arg::new(setting.key)
            .long(setting.flag())
            .value_name(setting.kind.placeholder())
            .help_heading(setting.group)
            // Passwords may begin with a dash.
            .allow_hyphen_values(setting.secret)
            .help(format!("{} [env: {}]{default}", setting.help, setting.env))
    });
    command.arg(config).arg(print).args(flags)
}

/// A text and where it was written.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub text: String,
    pub origin: String,
}

/// One layer, for the `config` crate: keys that are known, each value with its origin.
#[derive(Clone, Debug, Default)]
struct Layer(Map<String, Value>);

impl Layer {
    fn insert(&mut self, key: &str, text: &str, origin: String) {
        self.0.insert(key.to_owned(), Value::new(Some(&origin), text));
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

/// Merges the layers. Whatever cannot be merged becomes a mistake.
pub(super) fn merge(service: Service, sources: &Sources, mistakes: &mut Vec<Mistake>) -> BTreeMap<String, Found> {
    let mut defaults = Layer::default();
    for setting in SETTINGS {
        if let Some(text) = setting.default_for(service) {
            defaults.insert(setting.key, text, format!("default of {}", setting.key));
        }
    }
    let merged = config::Config::builder()
        .add_source(defaults)
        .add_source(file_layer(sources, mistakes))
        .add_source(environment_layer(sources, mistakes))
        .add_source(flag_layer(sources, mistakes))
        .build()
        .and_then(|config| config.cache.into_table());
    let table = merged.unwrap_or_else(|error| {
        mistakes.push(Mistake { origin: "the configuration".to_owned(), message: error.to_string() });
        Map::new()
    });
    table
        .into_iter()
        .filter_map(|(key, value)| {
            let origin = value.origin().unwrap_or_default().to_owned();
            Some((key, Found { text: value.into_string().ok()?, origin }))
        })
        .collect()
}

fn file_layer(sources: &Sources, mistakes: &mut Vec<Mistake>) -> Layer {
    let mut layer = Layer::default();
    let Some(path) = &sources.file else { return layer };
    let file = format!("file {}", path.display());
    let table = match read_toml(path) {
        Ok(table) => table,
        Err(message) => {
            mistakes.push(Mistake { origin: file, message });
            return layer;
        }
    };
    for (key, value) in table.into_iter().collect::<BTreeMap<_, _>>() {
        let origin = format!("{file}, key {key}");
        match Setting::find(&key) {
            None => mistakes.push(unknown(origin, "key", &key, SETTINGS.iter().map(|setting| setting.key))),
            Some(setting) => match text_of(value) {
                // The empty text means "not set", as in the environment.
                Some(text) if text.trim().is_empty() => {}
                Some(text) => layer.insert(&key, &text, origin),
                None => mistakes.push(Mistake {
                    origin,
                    message: format!("a table stands where one value is wanted; it must be {}", setting.kind.allowed()),
                }),
            },
        }
    }
    layer
}

fn read_toml(path: &std::path::Path) -> Result<Map<String, Value>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))?;
    FileFormat::Toml.parse(None, &text).map_err(|error| format!("is not valid TOML: {}", error.to_string().trim_end()))
}

/// Numbers and words are taken as they were written; a list is taken as its items with commas between.
fn text_of(value: Value) -> Option<String> {
    match value.kind {
        ValueKind::Array(items) => Some(items.into_iter().map(text_of).collect::<Option<Vec<_>>>()?.join(",")),
        ValueKind::Table(_) | ValueKind::Nil => None,
        _ => value.into_string().ok(),
    }
}

fn environment_layer(sources: &Sources, mistakes: &mut Vec<Mistake>) -> Layer {
    let mut layer = Layer::default();
    for (name, text) in &sources.environment {
        let origin = format!("environment variable {name}");
        match SETTINGS.iter().find(|setting| setting.env == name) {
            Some(_) if text.trim().is_empty() => {}
            Some(setting) => layer.insert(setting.key, text, origin),
            None if name.starts_with("ORFEAS_") && ![CONFIG_ENV, MODELS_ENV].contains(&name.as_str()) => {
                let known = SETTINGS.iter().map(|setting| setting.env).chain([CONFIG_ENV]);
                mistakes.push(unknown(origin, "variable", name, known));
            }
            None => {}
        }
    }
    layer
}

fn flag_layer(sources: &Sources, mistakes: &mut Vec<Mistake>) -> Layer {
    let mut layer = Layer::default();
    for (key, text) in &sources.flags {
        let origin = format!("flag --{}", key.replace('_', "-"));
        match Setting::find(key) {
            Some(setting) => layer.insert(setting.key, text, origin),
            None => mistakes.push(unknown(origin, "flag", key, SETTINGS.iter().map(|setting| setting.key))),
        }
    }
    layer
}

fn unknown<'a>(origin: String, what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> Mistake {
    let message = match nearest(name, known) {
        Some(meant) => format!("no such {what}; did you mean {meant}?"),
        None => format!("no such {what}; .env.example and --help list what there is"),
    };
    Mistake { origin, message }
}
