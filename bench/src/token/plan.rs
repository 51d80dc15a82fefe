//! What is measured: scenes, and who takes part in each.

use super::contender::{Contender, Maker};
use super::sample::Cut;

/// One sample that several contenders encode in turn.
#[derive(Clone, Debug)]
pub struct Scene {
    /// Which part of the report it belongs to.
    pub part: Part,
    /// Corpus, by name.
    pub corpus: &'static str,
    /// How it is handed over.
    pub cut: Cut,
    /// Who gives the ids that the others are held against; runs once, before the rounds.
    pub reference: Contender,
    /// Who is measured.
    pub contenders: Vec<Contender>,
}

/// A part of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Exact byte-pair encoding.
    Exact,
    /// Longest match.
    Greedy,
    /// Crayon's own vocabularies.
    Crayon,
}

const fn contender(maker: Maker, engine: &'static str, vocabulary: &'static str) -> Contender {
    Contender { maker, engine, vocabulary, name: engine }
}

/// Our engine, exact.
#[must_use]
pub const fn exact(vocabulary: &'static str) -> Contender {
    contender(Maker::Ours, "pfs", vocabulary)
}

/// Our engine, exact, 64 texts a call.
#[must_use]
pub const fn batched(vocabulary: &'static str) -> Contender {
    contender(Maker::Ours, "pfs-batch", vocabulary)
}

/// Our engine, longest match.
#[must_use]
pub const fn greedy(vocabulary: &'static str) -> Contender {
    contender(Maker::Ours, "pfs-greedy", vocabulary)
}

/// gigatoken, through Python, which costs it about 0.5 µs a call.
#[must_use]
pub const fn gigatoken(vocabulary: &'static str) -> Contender {
    contender(Maker::Python("python"), "gigatoken", vocabulary)
}

/// OpenAI's tiktoken, through Python: the reference for ids.
#[must_use]
pub const fn tiktoken(vocabulary: &'static str) -> Contender {
    contender(Maker::Python("python"), "tiktoken", vocabulary)
}

/// A peer from crates.io.
#[must_use]
pub const fn native(engine: &'static str, vocabulary: &'static str) -> Contender {
    contender(Maker::Native, engine, vocabulary)
}

/// Crayon 2.0.3 with its 50,000 tokens.
pub const CRAYON_2: Contender = Contender {
    maker: Maker::Python("crayon-2.0.3"),
    engine: "crayon",
    vocabulary: "crayon-2.0.3:lite",
    name: "crayon-2.0.3",
};

/// Crayon 5.7.16, whose engine calls itself turbo, with its 206,373 tokens.
pub const CRAYON_5: Contender = Contender {
    maker: Maker::Python("crayon-5.7.16"),
    engine: "crayon",
    vocabulary: "crayon-5.7.16:standard",
    name: "crayon-5.7.16",
};

const CL100K: &str = "cl100k_base";

/// All scenes, in the order in which they are measured.
#[must_use]
pub fn scenes() -> Vec<Scene> {
    let mut scenes = exact_scenes();
    scenes.extend(greedy_scenes());
    let crayon = |reference: Contender| Scene {
        part: Part::Crayon,
        corpus: "english",
        cut: Cut::Bulk,
        reference,
        contenders: vec![greedy(reference.vocabulary), reference],
    };
    scenes.extend([crayon(CRAYON_2), crayon(CRAYON_5)]);
    scenes
}

fn exact_scenes() -> Vec<Scene> {
    let scene = |corpus, cut, vocabulary, others: &[&'static str]| {
        let mut contenders = vec![exact(vocabulary), gigatoken(vocabulary)];
        if cut == Cut::Packets {
            contenders.push(batched(vocabulary));
        }
        contenders.extend(others.iter().map(|&engine| native(engine, vocabulary)));
        Scene { part: Part::Exact, corpus, cut, reference: tiktoken(vocabulary), contenders }
    };
    let fast = ["fastokens", "hf"];
    let mut english =
        scene("english", Cut::Bulk, CL100K, &["fastokens", "hf", "tiktoken-rs", "bpe-openai"]);
    english.contenders.push(tiktoken(CL100K));
    let mut scenes = vec![english, scene("english", Cut::Packets, CL100K, &fast)];
    for corpus in ["code", "multi"] {
        scenes.push(scene(corpus, Cut::Bulk, CL100K, &fast));
        scenes.push(scene(corpus, Cut::Packets, CL100K, &fast));
    }
    for corpus in ["adv_words", "adv_rand", "adv_a"] {
        scenes.push(scene(corpus, Cut::Packets, CL100K, &fast));
    }
    scenes.extend(["r50k_base", "o200k_base"].map(|name| scene("english", Cut::Bulk, name, &[])));
    scenes
}

fn greedy_scenes() -> Vec<Scene> {
    let scene = |corpus, cut| {
        let peers = [native("daachorse", CL100K), native("yada", CL100K)];
        let [reference, other] = peers;
        let contenders = vec![greedy(CL100K), reference, other];
        Scene { part: Part::Greedy, corpus, cut, reference, contenders }
    };
    let bulk = ["english", "code", "multi"].map(|corpus| scene(corpus, Cut::Bulk));
    let packets = ["english", "adv_words", "adv_rand", "adv_a"];
    bulk.into_iter().chain(packets.map(|corpus| scene(corpus, Cut::Packets))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scene_has_us_and_a_peer_with_the_same_vocabulary() {
        for scene in scenes() {
            let ours = scene.contenders.iter().filter(|c| c.maker == Maker::Ours).count();
            assert!(ours >= 1 && ours < scene.contenders.len(), "{scene:?}");
            let vocabulary = scene.reference.vocabulary;
            assert!(scene.contenders.iter().all(|c| c.vocabulary == vocabulary), "{scene:?}");
        }
    }
}
