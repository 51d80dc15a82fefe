//! Builds a vocabulary and measures it: `profile SIZE OUT TRAIN HELD_OUT [OTHER...]`.
//!
//! OTHER are vocabularies, of any format, that are measured on the held-out text as well.

use std::io::Write;
use std::path::Path;
use std::time::Instant;

use pfs_token::formats::{self, Loaded};
use pfs_token::profile::{BuildOptions, build, measure};
use pfs_token::vocab::VocabSource;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [size, out, train, held_out, others @ ..] = args.as_slice() else {
        return Err("profile SIZE OUT TRAIN HELD_OUT [OTHER...]".into());
    };
    let (train, held_out) = (std::fs::read(train)?, std::fs::read(held_out)?);
    let name = Path::new(out).file_name().unwrap_or_default();
    let name = name.to_string_lossy().split('.').next().unwrap_or_default().to_owned();
    let options = BuildOptions { name, size: size.parse()?, ..BuildOptions::default() };
    let start = Instant::now();
    let built = build(&[&train], &options, &mut |p| {
        eprint!("\r{}/{} {} tokens, {:.4} bits/byte ", p.done, p.of, p.tokens, p.bits_per_byte);
        let _ = std::io::stderr().flush();
    })?;
    eprintln!("{:.1} s", start.elapsed().as_secs_f64());
    formats::save(Path::new(out), &formats::packed::write(&built.source.tokens, 22)?)?;
    show("built", &built.source, &held_out)?;
    for path in others {
        if let Loaded::Source(source) = formats::read(Path::new(path))? {
            show(path, &source, &held_out)?;
        }
    }
    Ok(())
}

fn show(name: &str, source: &VocabSource, text: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
    let m = measure(source, &[text], 0)?;
    let bytes = source.tokens.iter().filter(|(_, token)| token.len() == 1).count();
    println!(
        "{name}: {} listed, {} with all bytes; {:.4} bits/byte, {:.3} bytes/token, {} used",
        source.tokens.len(),
        source.tokens.len() + 256 - bytes,
        m.bits_per_byte,
        m.bytes_per_token(),
        m.used
    );
    Ok(())
}
