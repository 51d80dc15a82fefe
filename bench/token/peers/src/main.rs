//! Runs one peer over one sample and prints one line of JSON.

mod engines;
#[path = "../../../src/token/trial.rs"]
mod trial;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use engines::{Daachorse, Fastokens, HuggingFace, OpenAi, Ranks, Tiktoken, Yada};
use trial::{Sample, Trial, run};

const USAGE: &str = "usage: pfs-token-peers ENGINE VOCABULARY RANKS TOKENIZER_JSON SAMPLE PASSES
       pfs-token-peers canonical TOKENIZER_JSON OUT";

fn measure(arguments: &[String]) -> Result<Trial, String> {
    let [engine, vocabulary, ranks, json, sample, passes] = arguments else {
        return Err(USAGE.into());
    };
    let sample = Sample::read(Path::new(sample)).map_err(|error| error.to_string())?;
    let passes: usize = passes.parse().map_err(|_| USAGE)?;
    let (ranks, json) = (PathBuf::from(ranks), PathBuf::from(json));
    match engine.as_str() {
        "hf" => run(&sample, passes, || HuggingFace::open(&json.with_extension("v2.json"))),
        "fastokens" => run(&sample, passes, || Fastokens::open(&json)),
        "fastokens-ranks" => run(&sample, passes, || Fastokens::from_ranks(&ranks, vocabulary)),
        "tiktoken-rs" => run(&sample, passes, || Tiktoken::open(vocabulary)),
        "bpe-openai" => run(&sample, passes, || OpenAi::open(vocabulary)),
        "daachorse" => {
            let tokens = Ranks::read(&ranks)?;
            run(&sample, passes, || Daachorse::build(&tokens))
        }
        "yada" => {
            let tokens = Ranks::read(&ranks)?;
            run(&sample, passes, || Yada::build(&tokens))
        }
        _ => Err(format!("no engine {engine}; {USAGE}")),
    }
}

/// What `tokenizers` 1.0 reads, from a `tokenizer.json` of an older version.
fn canonical(json: &str, out: &str) -> Result<(), String> {
    let text = tokenizers::canonicalize_file(json).map_err(|error| error.to_string())?;
    std::fs::write(out, text).map_err(|error| format!("{out}: {error}"))
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [command, json, out] = arguments.as_slice()
        && command == "canonical"
    {
        return match canonical(json, out) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        };
    }
    match measure(&arguments).and_then(|t| serde_json::to_string(&t).map_err(|e| e.to_string())) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
