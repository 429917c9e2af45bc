//! Damaged configurations.

use std::time::{Duration, Instant};

use orfeas_hunyuan3d::ModelErrorKind::Config;
use orfeas_hunyuan3d::config::ModelConfig;

use super::{assert_says, error_of, parity, refused};

fn base() -> String {
    std::fs::read_to_string(parity("base").join("config.yaml")).unwrap()
}

fn refused_text(what: &str, text: &str, parts: &[&str]) {
    assert_says(what, &error_of(what, || ModelConfig::parse(text)), Config, parts);
}

/// The base configuration with one line changed.
fn changed(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from:?} is not in the configuration");
    text.replacen(from, to, 1)
}

/// The base configuration with one line after another of one section changed, which must be refused.
fn refused_change(section: &str, from: &str, to: &str, parts: &[&str]) {
    let text = base();
    let at = text.find(&format!("{section}:\n")).unwrap();
    let (before, own) = text.split_at(at);
    let named: Vec<_> = [section].iter().chain(parts).copied().collect();
    refused_text(&format!("{section}: {to:?}"), &format!("{before}{}", changed(own, from, to)), &named);
}

#[test]
fn the_undamaged_ones_are_read() {
    for case in ["base", "fast", "turbo", "mv", "vae_turbo"] {
        ModelConfig::read(&parity(case)).unwrap();
    }
}

#[test]
fn missing_or_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    refused("missing", folder.path(), Config, &["config.yaml"]);
    refused("no folder", &folder.path().join("nowhere"), Config, &["config.yaml"]);
    std::fs::write(&path, b"\xff\xfe\x00\x01").unwrap();
    refused("not UTF-8", folder.path(), Config, &["config.yaml"]);
    std::fs::write(&path, vec![b'#'; (1 << 20) + 1]).unwrap();
    refused("a byte more than a megabyte", folder.path(), Config, &["config.yaml", "1048577"]);
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    refused("a folder", folder.path(), Config, &["config.yaml"]);
}

#[test]
fn not_the_yaml_that_is_asked_for() {
    let binary = "\u{0}\u{1}\u{2}";
    let texts = [
        "",
        "\n\n",
        "# nothing",
        "null",
        "~",
        "3",
        "text",
        "[]",
        "- a\n- b\n",
        "{}",
        "a: b: c",
        "\"unclosed",
        "{a: [",
        "\tmodel: 1",
        "--- 1\n--- 2\n",
        "&a *a",
        "a: *unknown",
        "? [a]\n: b\n",
        binary,
        "%YAML 9.9\n---\nx",
        "!!binary x",
    ];
    for text in texts {
        refused_text(&format!("{text:?}"), text, &["config.yaml"]);
    }
    refused_text("a list at the top", &base().lines().map(|line| format!("- {line:?}\n")).collect::<String>(), &[]);
    refused_text("twice the same section", &format!("{}{}", base(), base()), &["config.yaml"]);
    refused_text("a python object", "model: !!python/object/apply:os.system ['true']", &["config.yaml"]);
}

#[test]
fn bombs_are_errors_and_quick() {
    let mut laughs = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, before) in ('b'..='m').zip('a'..) {
        let references = vec![format!("*{before}"); 10].join(", ");
        laughs.push_str(&format!("{name}: &{name} [{references}]\n"));
    }
    let mut merges = "a: &a {x: 1}\n".to_owned();
    for (name, before) in ('b'..='m').zip('a'..) {
        merges.push_str(&format!("{name}: &{name} {{p: *{before}, q: *{before}, r: *{before}}}\n"));
    }
    let bombs = [
        laughs,
        merges,
        "a: &a [*a, *a]\n".to_owned(),
        "[".repeat(500_000),
        format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)),
        "{a: ".repeat(100_000),
        "- ".repeat(200_000),
        (0..3000).map(|depth| format!("{}a:\n", " ".repeat(depth.min(300)))).collect(),
        "? ".repeat(100_000),
        "&a ".repeat(100_000),
        format!("model: {}", "9".repeat(500_000)),
    ];
    for bomb in bombs {
        let begin = Instant::now();
        refused_text(&format!("{:?}…", &bomb[..bomb.len().min(20)]), &bomb, &["config.yaml"]);
        let took = begin.elapsed();
        assert!(took < Duration::from_secs(10), "{:?}… took {took:?}", &bomb[..bomb.len().min(20)]);
    }
}

#[test]
fn sections_and_fields_that_are_not_known() {
    refused_text("a section", &format!("{}lora:\n  target: x\n", base()), &["lora"]);
    let sections = ["model", "vae", "conditioner", "scheduler", "image_processor"];
    for section in sections.into_iter().chain(["pipeline"]) {
        refused_change(section, "  target:", "  surprise: 1\n  target:", &["surprise"]);
        refused_change(section, "  target: ", "  target: my.own.", &["my.own.hy3dgen"]);
        refused_change(section, "  target: ", "  target: 7 # ", &["target"]);
        refused_change(section, "  target: ", "  other: ", &["target"]);
    }
    for section in sections {
        refused_change(section, "  params:\n", "  params:\n    surprise: 1\n", &["surprise"]);
        refused_change(section, "  params:\n", "  params: 7\n  ignored:\n", &["params"]);
        let own = base();
        let own = changed(&own, &format!("{section}:\n  target"), &format!("{section}: {{}}\nx:\n  target"));
        refused_text(&format!("an empty {section}"), &own, &[section]);
        refused_text(&format!("no {section}"), &own.replace(&format!("{section}: {{}}\n"), ""), &[section]);
    }
    refused_text("pipeline", &format!("{}  params:\n    surprise: 1\n", base()), &["pipeline", "surprise"]);
    refused_change("conditioner", "      type:", "      surprise: 1\n      type:", &["surprise"]);
    refused_change("conditioner", "      kwargs:\n", "      kwargs:\n        surprise: 1\n", &["surprise"]);
    refused_change("conditioner", "        config:\n", "        config:\n          surprise: 1\n", &["surprise"]);
    refused_change(
        "conditioner",
        "    main_image_encoder:",
        "    additional_image_encoder:",
        &["additional_image_enc"],
    );
}

#[test]
fn encoders_that_are_not_implemented() {
    for name in ["CLIPImageEncoder", "CLIPEncoder", "UnconditionalEncoder", "dinoimageencoder", ""] {
        let to = format!("type: {name:?} #");
        refused_change("conditioner", "type: DinoImageEncoder", &to, &[&format!("{name:?}"), "DinoImageEncoder"]);
    }
    refused_change("conditioner", "models.SingleImageEncoder", "models.DualImageEncoder", &["DualImageEncoder"]);
    refused_change("conditioner", "model_type: dinov2", "model_type: clip_vision_model", &["clip_vision_model"]);
    refused_change("conditioner", "hidden_act: gelu", "hidden_act: quick_gelu", &["quick_gelu"]);
    refused_change("conditioner", "\n        image_size: 70\n", "\n        view_num: 4\n", &["view_num"]);
    let versioned = "        version: facebook/dinov2-large\n        image_size: 70\n";
    let text = base();
    let (begin, end) = (text.find("        config:\n").unwrap(), text.find("scheduler:").unwrap());
    let text = format!("{}{versioned}{}", &text[..begin], &text[end..]);
    refused_text("an encoder without a configuration", &text, &["conditioner", "facebook/dinov2-large"]);
}

#[test]
fn sizes_that_are_none() {
    let numbers = [
        ("model", "hidden_size: 64"),
        ("model", "in_channels: 8"),
        ("model", "num_heads: 4"),
        ("vae", "num_latents: 96"),
        ("vae", "embed_dim: 8"),
        ("vae", "heads: 4"),
        ("vae", "width: 64"),
        ("conditioner", "hidden_size: 48"),
        ("conditioner", "num_attention_heads: 4"),
        ("conditioner", "num_hidden_layers: 3"),
        ("conditioner", "patch_size: 14"),
        ("conditioner", "image_size: 70"),
        ("scheduler", "num_train_timesteps: 1000"),
        ("image_processor", "size: 128"),
    ];
    for (section, line) in numbers {
        let name = line.split(':').next().unwrap();
        for value in
            ["0", "99999999", "18446744073709551615", "18446744073709551616", "-1", "-64", "1.5", "1e30", "many"]
        {
            refused_change(section, line, &format!("{name}: {value}"), &[name]);
        }
        for value in ["[]", "{}", "true", "~"] {
            refused_change(section, line, &format!("{name}: {value}"), &[name]);
        }
    }
    for value in ["0.0", "-4.0", "1e9"] {
        refused_change("model", "mlp_ratio: 4.0", &format!("mlp_ratio: {value}"), &["mlp_ratio"]);
        refused_change("conditioner", "mlp_ratio: 4", &format!("mlp_ratio: {value}"), &["mlp_ratio"]);
    }
    for value in [".nan", ".inf", "-.inf"] {
        // Refused as YAML already, by line and column.
        refused_text(value, &changed(&base(), "mlp_ratio: 4.0", &format!("mlp_ratio: {value}")), &["line 7", value]);
    }
    refused_change("vae", "scale_factor: 0.9990943042622529", "scale_factor: 0.0", &["scale_factor"]);
    refused_change("vae", "num_freqs: 8", "num_freqs: 1000", &["num_freqs"]);
    refused_change("vae", "num_latents: 96", "label_type: sdf\n    num_latents: 96", &["label_type", "sdf"]);
    refused_change("vae", "    num_latents: 96\n", "", &["num_latents"]);
    refused_change("conditioner", "layer_norm_eps: 1.0e-06", "layer_norm_eps: 0.0", &["layer_norm_eps"]);
    refused_change("scheduler", "num_train_timesteps: 1000", "shift: 0.0", &["shift"]);
    refused_change("scheduler", "num_train_timesteps: 1000", "use_dynamic_shifting: true", &["use_dynamic_shifting"]);
    refused_change("image_processor", "size: 128", "border_ratio: 1.0", &["border_ratio"]);
    let turbo = std::fs::read_to_string(parity("turbo").join("config.yaml")).unwrap();
    for value in ["0", "1001", "-1"] {
        let text = changed(&turbo, "pcm_timesteps: 100", &format!("pcm_timesteps: {value}"));
        refused_text(value, &text, &["scheduler", "pcm_timesteps"]);
    }
}

#[test]
fn parts_that_do_not_fit_together() {
    refused_change("model", "num_heads: 4", "num_heads: 5", &["64", "5 heads"]);
    refused_change("vae", "heads: 4", "heads: 3", &["64", "3 heads"]);
    refused_change("conditioner", "num_attention_heads: 4", "num_attention_heads: 5", &["48", "5 heads"]);
    refused_change("vae", "width: 64", "width: 64\n    geo_decoder_downsample_ratio: 3", &["ratio 3"]);
    refused_change("vae", "width: 64", "width: 64\n    geo_decoder_downsample_ratio: 8", &["0 heads"]);
    for axes in ["[8]", "[]", "[16, 16]", "[18446744073709551615, 17]"] {
        refused_change("model", "axes_dim:\n    - 16", &format!("axes_dim: {axes}"), &["axes_dim", "16"]);
    }
    refused_change("model", "context_in_dim: 48", "context_in_dim: 64", &["context_in_dim", "48", "64"]);
    refused_change("vae", "embed_dim: 8", "embed_dim: 16", &["embed_dim", "16", "8"]);
    refused_text(
        "in_channels",
        &changed(&base(), "in_channels: 8", "in_channels: 16"),
        &["embed_dim", "in_channels", "16"],
    );
    refused_change("model", "qkv_bias: true", "ckpt_path: other.ckpt", &["ckpt_path"]);
    refused_text(
        "one view and several",
        &changed(&base(), "preprocessors.ImageProcessorV2", "preprocessors.MVImageProcessorV2"),
        &["image_processor", "conditioner"],
    );
    let several = changed(&base(), "type: DinoImageEncoder", "type: DinoImageEncoderMV");
    refused_text("several views and one", &several, &["image_processor", "conditioner"]);
    let mv = std::fs::read_to_string(parity("mv").join("config.yaml")).unwrap();
    for value in ["0", "5", "-4"] {
        refused_text(value, &changed(&mv, "view_num: 4", &format!("view_num: {value}")), &["conditioner", "view_num"]);
    }
}

#[test]
fn sizes_that_only_together_are_too_much() {
    // A file of 770 kB would have its positions blown up to 22 GB before anything says that it has no such network.
    let large = base().replace("image_size: 70", "image_size: 4088");
    let text = changed(&large, "          hidden_size: 48\n", "          hidden_size: 65536\n");
    refused_text("positions", &text, &["conditioner", "image_size", "65536"]);
    for own in ["steps: 4294967295", "most_steps: 4294967295"] {
        refused_text(own, &format!("{}\norfeas:\n  {own}\n", base()), &["orfeas", "10000"]);
    }
}
