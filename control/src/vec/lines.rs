//! Records and associations as lines of JSON.

use pfs_vec::{Association, Batch, Put, Record, StoreError};
use serde::{Deserialize, Serialize};

use crate::kv::{either, either_bytes};

/// A record or an association as a JSON object. Ids and metadata that are no text are hexadecimal
/// digits, under a name that ends in `_hex`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_hex: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vector: Option<Vec<f32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    meta_hex: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strength: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_hex: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_hex: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    confidence: Option<f32>,
}

impl Line {
    /// The line of a record: all that makes it anew elsewhere.
    pub(super) fn of_record(record: &Record) -> Self {
        let (id, id_hex) = either(&record.id);
        let (meta, meta_hex) = match &record.metadata[..] {
            [] => (None, None),
            metadata => either(metadata),
        };
        Self {
            id,
            id_hex,
            vector: Some(record.vector.clone()),
            text: (!record.text.is_empty()).then(|| record.text.clone()),
            meta,
            meta_hex,
            time: Some(record.time),
            strength: Some(record.strength),
            confidence: Some(record.confidence),
            ..Self::default()
        }
    }

    /// The line of an association.
    pub(super) fn of_association(association: &Association) -> Self {
        let (source, source_hex) = either(&association.source);
        let (target, target_hex) = either(&association.target);
        Self {
            source,
            source_hex,
            target,
            target_hex,
            kind: Some(association.kind),
            weight: Some(association.weight),
            confidence: Some(association.confidence),
            ..Self::default()
        }
    }

    /// Reads a line and adds what it stands for to a batch.
    ///
    /// # Errors
    /// What is wrong with it, in one sentence; the batch is then as it was.
    pub(super) fn read(text: &[u8], batch: &mut Batch) -> Result<(), String> {
        let line: Self = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        let told = |error: StoreError| error.to_string();
        let of_edge = line.source.is_some() || line.source_hex.is_some();
        if of_edge || line.target.is_some() || line.target_hex.is_some() {
            return line.associate(batch)?.map_err(told);
        }
        line.put(batch)?.map_err(told)
    }

    fn put(self, batch: &mut Batch) -> Result<Result<(), StoreError>, String> {
        if self.kind.is_some() || self.weight.is_some() {
            return Err("kind and weight are an association's, with a source and a target".into());
        }
        let id = either_bytes("id", self.id, self.id_hex)?;
        let metadata = match (self.meta, self.meta_hex) {
            (None, None) => Vec::new(),
            (meta, meta_hex) => either_bytes("meta", meta, meta_hex)?,
        };
        let vector = self.vector.ok_or("it has no vector")?;
        Ok(batch.put(&Put {
            text: self.text.as_deref().unwrap_or_default(),
            metadata: &metadata,
            time: self.time,
            strength: self.strength.unwrap_or(1.0),
            confidence: self.confidence.unwrap_or(1.0),
            ..Put::new(&id, &vector)
        }))
    }

    fn associate(self, batch: &mut Batch) -> Result<Result<(), StoreError>, String> {
        let is_record = self.id.is_some() || self.id_hex.is_some() || self.vector.is_some();
        let has_more = self.text.is_some() || self.meta.is_some() || self.meta_hex.is_some();
        if is_record || has_more || self.time.is_some() || self.strength.is_some() {
            return Err("it is a record and an association".to_owned());
        }
        let source = either_bytes("source", self.source, self.source_hex)?;
        let target = either_bytes("target", self.target, self.target_hex)?;
        let (weight, confidence) = (self.weight.unwrap_or(1.0), self.confidence.unwrap_or(1.0));
        Ok(batch.associate((&source, &target), self.kind.unwrap_or(0), weight, confidence))
    }
}
