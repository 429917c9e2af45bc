//! `orfeas topology`: what must exist on the NATS server.

use clap::Subcommand;
use serde_json::json;

use crate::connect::{Server, block_on, topology};
use crate::exit::{Ended, say, say_json};

#[derive(Subcommand)]
pub enum TopologyCommand {
    /// Create what is missing and update what differs; doing it twice is doing it once
    Apply {
        #[command(flatten)]
        server: Server,
    },
    /// Print the streams, consumers and buckets with their limits
    Show {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

impl TopologyCommand {
    pub fn run(self) -> Ended {
        match self {
            Self::Apply { server } => block_on(async move {
                let (bus, config) = server.connect().await?;
                let topology = topology(&config);
                topology.apply(&bus).await?;
                let (streams, consumers) = (topology.streams().len(), topology.consumers().len());
                say(format!("{streams} streams and {consumers} consumers are in place"));
                Ok(())
            }),
            Self::Show { json } => {
                let topology = topology(&Server { url: None }.config()?);
                if json {
                    return say_json(&json!({"streams": topology.streams(), "consumers": topology.consumers()}));
                }
                let row =
                    |a: &str, b: &str, c: &str, d: &str, e: &str| say(format!("{a:<20} {b:<11} {c:>12} {d:>9}  {e}"));
                row("STREAM", "RETENTION", "MAX BYTES", "MAX AGE", "SUBJECTS");
                let or_dash = |n: u64| if n == 0 { "-".to_owned() } else { n.to_string() };
                for stream in topology.streams() {
                    let age = if stream.max_age_seconds == 0 {
                        "-".into()
                    } else {
                        format!("{} h", stream.max_age_seconds / 3600)
                    };
                    let subjects = stream.subjects.join(" ");
                    row(&stream.name, stream.retention, &or_dash(stream.max_bytes), &age, &subjects);
                }
                say("");
                for consumer in topology.consumers() {
                    say(format!("consumer {}/{} takes {}", consumer.stream, consumer.name, consumer.filter));
                }
                Ok(())
            }
        }
    }
}
