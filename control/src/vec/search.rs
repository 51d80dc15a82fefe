//! `pfs vec search`.

use std::fs::File;
use std::io::{BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use pfs_vec::import::{Format, Vectors};
use pfs_vec::{Answer, Collection, Effort, Only, Query, Words};
use serde::Serialize;

use super::args::SearchArgs;
use crate::failure::Failure;
use crate::kv::either;

/// Longest file of ids.
const IDS_MAX: u64 = 1 << 30;

/// A hit as it is printed.
#[derive(Serialize)]
struct Hit {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_hex: Option<String>,
    score: f32,
    /// When this version was written, in microseconds since 1970.
    modified: u64,
}

/// What was read of a level, as it is printed.
#[derive(Serialize)]
struct Level {
    level: u8,
    parts: u32,
    rows: u64,
    estimated: u64,
    computed: u64,
}

/// An answer as it is printed.
#[derive(Serialize)]
struct Told {
    /// Number of the query, from 0 on.
    query: u64,
    hits: Vec<Hit>,
    /// Share of the exact answer that the hits are expected to be, where that was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<f32>,
    levels: Vec<Level>,
    /// Damaged segments whose hits are missing.
    refused: Vec<String>,
}

/// `pfs vec search`.
///
/// # Errors
/// A query that the collection cannot answer; hits that are missing because a segment is damaged,
/// after all answers were printed.
pub(super) fn search(args: &SearchArgs) -> Result<(), Failure> {
    let ids = args.ids_file.as_deref().map(read_ids).transpose()?;
    let ids: Option<Vec<&[u8]>> = ids
        .as_ref()
        .map(|ids| ids.split(|byte| *byte == b'\n').filter(|id| !id.is_empty()).collect());
    let all = args.words.as_deref().map(Words::all_of);
    let words = all.or_else(|| args.any_words.as_deref().map(Words::any_of));
    let is_timed = args.from.is_some() || args.until.is_some();
    let only = Only {
        ids: ids.as_deref(),
        time: is_timed.then(|| args.from.unwrap_or(0)..=args.until.unwrap_or(u64::MAX)),
        words: words.as_ref(),
    };
    if args.min_score.is_nan() {
        return Err(Failure::usage("--min-score is no number"));
    }
    let mut search = Search { args, only, asked: 0, damaged: false, least: 1.0 };
    search.run()?;
    if search.least < 1.0 {
        tracing::warn!(
            "answers are expected to have {:.3} of the exact ones, less than was asked for; \
             --recall exact compares every vector",
            search.least
        );
    }
    if search.damaged {
        let dir = args.dir.display();
        return Err(Failure::failed(format!(
            "hits may be missing: {dir} is damaged; `pfs vec verify {dir}` says where"
        )));
    }
    Ok(())
}

/// Ids, one a line.
fn read_ids(path: &Path) -> Result<Vec<u8>, Failure> {
    let fail = |why: String| Failure::failed(format!("reading {}: {why}", path.display()));
    let file = File::open(path).map_err(|error| fail(error.to_string()))?;
    let mut ids = Vec::new();
    let read = file.take(IDS_MAX + 1).read_to_end(&mut ids);
    if read.map_err(|error| fail(error.to_string()))? as u64 > IDS_MAX {
        return Err(fail("it is longer than 1 GiB".to_owned()));
    }
    Ok(ids)
}

struct Search<'a> {
    args: &'a SearchArgs,
    only: Only<'a>,
    /// Queries answered.
    asked: u64,
    damaged: bool,
    /// Least share that an answer is expected to have where it is less than was asked for.
    least: f32,
}

impl Search<'_> {
    fn run(&mut self) -> Result<(), Failure> {
        if let Some(path) = &self.args.file {
            return self.file(path);
        }
        let collection = super::open_to_read(&self.args.dir)?;
        let Some(like) = &self.args.like else {
            let vector = super::vector(self.args.vector.as_deref())?;
            return self.ask(&collection, &vector, None);
        };
        let id = like.as_bytes();
        let record = match self.args.as_of {
            Some(time) => collection.get_as_of(id, time)?,
            None => collection.get(id)?,
        };
        let none = || Failure::failed(format!("there is no record {}", like.display()));
        self.ask(&collection, &record.ok_or_else(none)?.vector, Some(id))
    }

    fn file(&mut self, path: &Path) -> Result<(), Failure> {
        let at = |why: String| Failure::failed(format!("{}: {why}", path.display()));
        let format = Format::of(path).ok_or_else(|| {
            Failure::usage(format!("{} ends in none of .npy, .fvecs and .bvecs", path.display()))
        })?;
        let file = File::open(path).map_err(|error| at(error.to_string()))?;
        let mut vectors =
            Vectors::open(BufReader::new(file), format).map_err(|error| at(error.to_string()))?;
        let collection = super::open_to_read(&self.args.dir)?;
        let mut vector = Vec::new();
        while vectors.next_into(&mut vector).map_err(|error| at(error.to_string()))? {
            let asked = self.ask(&collection, &vector, None);
            asked.map_err(|failure| at(format!("vector {}: {failure}", vectors.read() - 1)))?;
        }
        Ok(())
    }

    /// Answers a query; `but` is the id that is not to be among the hits.
    fn ask(
        &mut self,
        collection: &Collection,
        vector: &[f32],
        but: Option<&[u8]>,
    ) -> Result<(), Failure> {
        let top_k = self.args.top_k;
        let mut answer = collection.search(&Query {
            vector,
            top_k: if but.is_some() && top_k > 0 { top_k.saturating_add(1) } else { top_k },
            min_score: self.args.min_score,
            effort: self.args.recall,
            only: self.only.clone(),
            as_of: self.args.as_of,
        })?;
        answer.hits.retain(|hit| Some(&hit.id[..]) != but);
        answer.hits.truncate(top_k);
        self.damaged |= !answer.refused.is_empty();
        if let Effort::Recall(wanted) = self.args.recall
            && let Some(expected) = answer.expected.filter(|share| *share < wanted)
        {
            self.least = self.least.min(expected);
        }
        super::line(&told(self.asked, answer))?;
        self.asked += 1;
        Ok(())
    }
}

fn told(query: u64, answer: Answer) -> Told {
    let hits = answer.hits.into_iter().map(|hit| {
        let (id, id_hex) = either(&hit.id);
        Hit { id, id_hex, score: hit.score, modified: hit.modified }
    });
    let levels = answer.levels.iter().map(|read| Level {
        level: read.level,
        parts: read.parts,
        rows: read.rows,
        estimated: read.estimated,
        computed: read.computed,
    });
    Told {
        query,
        hits: hits.collect(),
        expected: answer.expected,
        levels: levels.collect(),
        refused: answer.refused.iter().map(ToString::to_string).collect(),
    }
}
