//! Bodies of the fuzz targets of the line grammar, shared with the tests that replay their corpora.

use super::{Command, Lines, ReplyLine, parse};

/// Any bytes as a connection's input: the same lines whatever pieces they arrive in; each a command, or an
/// error of one line.
///
/// # Panics
/// When a promise is broken.
pub fn cheetah_lines(data: &[u8]) {
    let Some((&piece, data)) = data.split_first() else { return };
    let lines = split_in_pieces(data, usize::from(piece).max(1));
    assert_eq!(lines, split_in_pieces(data, data.len().max(1)));
    for line in lines.into_iter().flatten() {
        check_line(&line);
    }
}

const LIMIT: usize = 200;

/// The lines of `data` when it arrives `piece` bytes at a time; `None` where one is too long, which ends
/// them.
fn split_in_pieces(data: &[u8], piece: usize) -> Vec<Option<Vec<u8>>> {
    let mut splitter = Lines::new();
    let (mut start, mut end) = (0, 0);
    let mut lines = Vec::new();
    while end < data.len() {
        end = (end + piece).min(data.len());
        loop {
            match splitter.next(&data[start..end], LIMIT) {
                Ok(Some((line, taken))) => {
                    lines.push(Some(data[start..end][line].to_vec()));
                    start += taken;
                }
                Ok(None) => break,
                Err(_) => {
                    lines.push(None);
                    return lines;
                }
            }
        }
    }
    lines
}

/// # Panics
/// When what a line gives cannot be.
fn check_line(line: &[u8]) {
    match parse(line) {
        Ok(None) => assert!(line.trim_ascii().is_empty()),
        Ok(Some(command)) => check_command(line, &command),
        Err(error) => {
            let mut out = Vec::new();
            ReplyLine::error(&mut out, &error);
            assert!(out.starts_with(b"ERROR,") && out.ends_with(b"\n"));
            assert_eq!(out.iter().filter(|&&byte| byte == b'\n').count(), 1, "{error}");
        }
    }
}

fn check_command(line: &[u8], command: &Command<'_>) {
    match command {
        Command::Insert { payload } | Command::Edit { payload, .. } => {
            assert!(!payload.is_empty() && payload.len() < line.len());
        }
        Command::PairSet { key, abs, .. } => {
            assert!(!key.is_empty() && *abs < 1 << 48);
            assert_eq!(key.bytes().len(), key.len());
        }
        Command::PairGet { key } | Command::PairDel { key } => {
            assert!(!key.is_empty() && key.len() <= line.len());
            assert_eq!(key.bytes().len(), key.len());
        }
        Command::PairScan(page) | Command::PairReduce { page, .. } => {
            assert_eq!(page.prefix.bytes().len(), page.prefix.len());
        }
        Command::PairPurge { page, .. } => assert!((1..=4096).contains(page)),
        _ => {}
    }
}
