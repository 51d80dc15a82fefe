//! A full disk: nothing half-written, the books told all the same.

use std::fs;

use crate::common::{names, run, with_full_disk};
use crate::token::text;

#[test]
fn files_on_a_full_disk_are_an_error_and_leave_what_was_there() {
    with_full_disk(|disk| {
        for flag in ["--plan-out", "--report", "--keep"] {
            let told = run(&format!(
                "run --from memory:1518,packets=500 --prog crc32c {flag} {}/old",
                disk.display()
            ));
            assert!(told.out.contains("books: offered 500 "), "{flag}: {told:?}");
            assert!(told.out.contains("consumed 500 + in_flight 0; residual 0"), "{told:?}");
            told.fails(1, &["No space left on device", "df -h", "old"]);
            assert_eq!(names(disk), ["filler", "old"], "{flag}");
            assert_eq!(fs::read_to_string(disk.join("old")).expect("reads"), "older");
        }
        for kind in ["u32", "arrow", "json"] {
            let told = run(&format!(
                "run --from memory:1518,packets=500 --prog token:r50k_base --ids {kind}:{}/old",
                disk.display()
            ));
            assert!(told.out.contains("consumed 500 + in_flight 0; residual 0"), "{told:?}");
            told.fails(1, &["No space left on device", "df -h", "records are not in"]);
            assert_eq!(names(disk), ["filler", "old"], "{kind}");
            assert_eq!(fs::read_to_string(disk.join("old")).expect("reads"), "older");
        }
        for words in [
            format!("tokenize --output {}/old {}", disk.display(), text().display()),
            format!("plan make --from memory:64 --output {}/old", disk.display()),
            format!("tx --generate 1518 --count 500 --to pcap:{}/old", disk.display()),
            format!("tx --generate 64 --count 1 --to pcap:{}/old", disk.display()),
        ] {
            run(&words).fails(1, &["No space left on device", "df -h", "old"]);
            assert_eq!(names(disk), ["filler", "old"], "{words}");
            assert_eq!(fs::read_to_string(disk.join("old")).expect("reads"), "older");
        }
    });
}

#[test]
fn what_cannot_be_written_is_named() {
    let memory = "run --from memory:64,packets=9";
    run(&format!("{memory} --report /dev/full")).fails(1, &["/dev/full", "No space left"]);
    run(&format!("{memory} --keep /dev/full")).fails(1, &["/dev/full", "9 payloads"]);
    for flag in ["--report", "--plan-out", "--keep"] {
        let words = format!("{memory} {flag} /nonexistent/x.json");
        run(&words).fails(1, &["/nonexistent/x.json", "mkdir -p"]);
    }
    for words in ["plan schema", "doctor", "man", "completions bash", memory] {
        let mut command = crate::common::pfs(words);
        command.stdout(fs::File::options().write(true).open("/dev/full").expect("opens"));
        crate::common::done(command).fails(1, &["standard output", "No space left"]);
    }
}
