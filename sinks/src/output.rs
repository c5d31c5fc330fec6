//! A file output under way: its sealed parts and the one that grows. Blocking throughout.

use std::{fs, sync::Arc};

use harvestman_engine::{Error, Part, Record, Result, Schema, SinkState};
use serde::{Deserialize, Serialize};

#[cfg(feature = "parquet")]
use crate::parquet::{Layout, ParquetPart, ParquetState};
use crate::{
    OutputFormat, OutputKind,
    encode::RowEncoder,
    publish::{self, Target},
    rows::{Packing, RowPart, RowState},
    work::{Mark, WorkDirectory},
};

/// The version of the state's form; another one is refused.
const VERSION: u32 = 1;

/// What an output is to be: all settings of a sink, checked.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) format: OutputFormat,
    /// Where the parts are moved to at the end; without it they stay in the work directory.
    pub(crate) target: Option<Target>,
    pub(crate) work: WorkDirectory,
    pub(crate) max_part_bytes: u64,
    /// Tells other columns apart; none where the format has none.
    pub(crate) columns: Option<String>,
    pub(crate) encoding: Encoding,
}

/// How records get into a part.
#[derive(Debug)]
pub(crate) enum Encoding {
    Rows(RowEncoder),
    #[cfg(feature = "parquet")]
    Parquet(Arc<Layout>),
}

/// An output being written.
#[derive(Debug)]
pub(crate) struct Output {
    plan: Arc<Plan>,
    sealed: Vec<Sealed>,
    /// How many of them a checkpoint counts on.
    committed: usize,
    part: OpenPart,
    /// Where the checkpoint before stands, which may be the one that is saved.
    kept: Mark,
}

#[derive(Debug)]
enum OpenPart {
    Rows(Box<RowPart>),
    #[cfg(feature = "parquet")]
    Parquet(Box<ParquetPart>),
}

/// A complete part in the work directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Sealed {
    rows: u64,
    bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

/// The JSON of a [`SinkState`].
#[derive(Debug, Serialize, Deserialize)]
struct State {
    kind: Kind,
    version: u32,
    format: OutputFormat,
    columns: Option<String>,
    sealed: Vec<Sealed>,
    open: OpenState,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    File,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OpenState {
    Rows(RowState),
    #[cfg(feature = "parquet")]
    Parquet(ParquetState),
}

impl Encoding {
    pub(crate) fn new(
        kind: OutputKind,
        schema: Option<&Schema>,
        escape_formulas: bool,
        job_id: Option<&str>,
    ) -> Result<Self> {
        let _ = job_id;
        match kind {
            #[cfg(feature = "parquet")]
            OutputKind::Parquet => {
                let schema = schema.ok_or_else(|| crate::encode::missing_schema(kind))?;
                Ok(Self::Parquet(Arc::new(Layout::new(schema, job_id)?)))
            }
            kind => Ok(Self::Rows(RowEncoder::new(kind, schema, escape_formulas)?)),
        }
    }
}

impl Plan {
    /// Parts that are handed out one by one have a digest each.
    fn is_hashed(&self) -> bool {
        self.target.is_none()
    }

    fn packing(&self) -> Packing {
        Packing {
            compression: self.format.compression,
            max_bytes: self.max_part_bytes,
            is_hashed: self.is_hashed(),
        }
    }
}

impl Output {
    /// Begins anew; what an earlier job left in the work directory is removed.
    pub(crate) fn begin(plan: Arc<Plan>) -> Result<Self> {
        plan.work.begin()?;
        let part = OpenPart::create(&plan, 0)?;
        Ok(Self { plan, sealed: Vec::new(), committed: 0, part, kept: Mark::default() })
    }

    /// Goes on from a checkpoint: what was written or published after it is undone. The first
    /// `shipped` parts lie elsewhere and need not be here any more.
    pub(crate) fn resume(plan: Arc<Plan>, state: &SinkState, shipped: usize) -> Result<Self> {
        let state = State::read(&plan, state)?;
        let number = state.sealed.len() as u64;
        if let Some(target) = &plan.target {
            publish::take_back(&plan.work, target, number)?;
        }
        plan.work.reopen(number)?;
        let mark = state.open.mark(number);
        plan.work.remove_after(mark, matches!(state.open, OpenState::Rows(_)))?;
        for (number, sealed) in (0..).zip(&state.sealed).skip(shipped) {
            sealed.check(&plan.work, number)?;
        }
        let part = OpenPart::resume(&plan, number, &state.open)?;
        plan.work.sync()?;
        let committed = state.sealed.len();
        Ok(Self { plan, sealed: state.sealed, committed, part, kept: mark })
    }

    pub(crate) fn write(&mut self, records: &[Record]) -> Result<()> {
        for record in records {
            // Only when there is something to go into it: no part is empty but a lonely one.
            if self.part.rows() > 0 && self.part.bytes() >= self.plan.max_part_bytes {
                self.seal()?;
                self.part = OpenPart::create(&self.plan, self.sealed.len() as u64)?;
            }
            self.part.append(&self.plan, record)?;
        }
        Ok(())
    }

    pub(crate) fn checkpoint(&mut self) -> Result<SinkState> {
        let open = self.part.checkpoint()?;
        let mark = open.mark(self.sealed.len() as u64);
        if mark != self.kept {
            // The state before may still be the saved one, but none older than it.
            self.plan.work.remove_before(self.kept)?;
            self.kept = mark;
        }
        let state = State {
            kind: Kind::File,
            version: VERSION,
            format: self.plan.format,
            columns: self.plan.columns.clone(),
            sealed: self.sealed.clone(),
            open,
        };
        self.committed = self.sealed.len();
        let json = serde_json::to_value(&state).map_err(|error| Error::part("sink", error))?;
        Ok(SinkState(json))
    }

    /// Completes the last part and publishes all of them.
    pub(crate) fn finish(&mut self) -> Result<Vec<Part>> {
        self.seal()?;
        let Some(target) = &self.plan.target else {
            return Ok(self.parts(&self.sealed));
        };
        let sealed: Vec<_> = self.sealed.iter().map(|sealed| (sealed.rows, sealed.bytes)).collect();
        let parts = target.parts(&sealed);
        for step in publish::steps(&self.plan.work, target, &parts) {
            step.run()?;
        }
        Ok(parts)
    }

    /// The parts that the last checkpoint counts on, where they stay. None where they are moved at
    /// the end.
    pub(crate) fn sealed_parts(&self) -> Vec<Part> {
        if self.plan.target.is_some() {
            return Vec::new();
        }
        self.parts(&self.sealed[..self.committed])
    }

    /// How many parts are complete, whether a checkpoint counts on them or not.
    #[cfg(feature = "object")]
    pub(crate) fn complete(&self) -> usize {
        self.sealed.len()
    }

    /// The first `count` of them, where they are here.
    #[cfg(feature = "object")]
    pub(crate) fn first_parts(&self, count: usize) -> Vec<Part> {
        self.parts(self.sealed.get(..count).unwrap_or_default())
    }

    /// One of them.
    #[cfg(feature = "object")]
    pub(crate) fn part(&self, number: usize) -> Option<Part> {
        let sealed = self.sealed.get(number)?;
        Some(sealed.part(&self.plan, number as u64))
    }

    fn parts(&self, sealed: &[Sealed]) -> Vec<Part> {
        (0..).zip(sealed).map(|(number, sealed)| sealed.part(&self.plan, number)).collect()
    }

    fn seal(&mut self) -> Result<()> {
        let (work, number) = (&self.plan.work, self.sealed.len() as u64);
        let sha256 = self.part.seal()?.filter(|_| self.plan.is_hashed());
        work.seal(number)?;
        let path = work.part(number);
        let bytes = fs::metadata(&path).map_err(Error::io("examine", &path))?.len();
        self.sealed.push(Sealed { rows: self.part.rows(), bytes, sha256 });
        Ok(())
    }
}

impl OpenPart {
    fn create(plan: &Plan, number: u64) -> Result<Self> {
        let part = match &plan.encoding {
            Encoding::Rows(encoder) => {
                let mut header = Vec::new();
                encoder.header(&mut header);
                let path = plan.work.open(number);
                Self::Rows(Box::new(RowPart::create(path, plan.packing(), header)?))
            }
            #[cfg(feature = "parquet")]
            Encoding::Parquet(layout) => {
                let layout = Arc::clone(layout);
                Self::Parquet(Box::new(ParquetPart::create(layout, plan.work.clone(), number)?))
            }
        };
        plan.work.sync()?;
        Ok(part)
    }

    fn resume(plan: &Plan, number: u64, state: &OpenState) -> Result<Self> {
        match (&plan.encoding, state) {
            (Encoding::Rows(_), OpenState::Rows(state)) => {
                let path = plan.work.open(number);
                let part = RowPart::resume(path, plan.packing(), state)?;
                Ok(Self::Rows(Box::new(part)))
            }
            #[cfg(feature = "parquet")]
            (Encoding::Parquet(layout), OpenState::Parquet(state)) => {
                let layout = Arc::clone(layout);
                let part = ParquetPart::resume(layout, plan.work.clone(), number, state)?;
                Ok(Self::Parquet(Box::new(part)))
            }
            #[cfg(feature = "parquet")]
            _ => Err(Error::damaged("the sink's state", "its open part is of another format")),
        }
    }

    fn append(&mut self, plan: &Plan, record: &Record) -> Result<()> {
        match (self, &plan.encoding) {
            (Self::Rows(part), Encoding::Rows(encoder)) => part.append(encoder, record),
            #[cfg(feature = "parquet")]
            (Self::Parquet(part), Encoding::Parquet(_)) => part.append(record),
            #[cfg(feature = "parquet")]
            _ => unreachable!("a part is made with its plan's encoding"),
        }
    }

    fn bytes(&self) -> u64 {
        match self {
            Self::Rows(part) => part.bytes(),
            #[cfg(feature = "parquet")]
            Self::Parquet(part) => part.bytes(),
        }
    }

    fn rows(&self) -> u64 {
        match self {
            Self::Rows(part) => part.rows(),
            #[cfg(feature = "parquet")]
            Self::Parquet(part) => part.rows(),
        }
    }

    fn checkpoint(&mut self) -> Result<OpenState> {
        match self {
            Self::Rows(part) => part.checkpoint().map(OpenState::Rows),
            #[cfg(feature = "parquet")]
            Self::Parquet(part) => part.checkpoint().map(OpenState::Parquet),
        }
    }

    /// Completes the file, durably. Its SHA-256, where that is known.
    fn seal(&mut self) -> Result<Option<String>> {
        match self {
            Self::Rows(part) => part.seal(),
            #[cfg(feature = "parquet")]
            Self::Parquet(part) => part.seal().map(Some),
        }
    }
}

impl OpenState {
    fn mark(&self, part: u64) -> Mark {
        match self {
            Self::Rows(_) => Mark { part, group: 0 },
            #[cfg(feature = "parquet")]
            Self::Parquet(state) => Mark { part, group: state.group() },
        }
    }
}

impl Sealed {
    fn part(&self, plan: &Plan, number: u64) -> Part {
        let location = plan.work.part(number).to_string_lossy().into_owned();
        let mut part = Part::new(location, self.rows, self.bytes);
        part.sha256.clone_from(&self.sha256);
        part
    }

    /// Refuses to go on without a part that the checkpoint counts on.
    fn check(&self, work: &WorkDirectory, number: u64) -> Result<()> {
        let path = work.part(number);
        let found = fs::metadata(&path).map_err(Error::io("go on with", &path))?.len();
        if found == self.bytes {
            return Ok(());
        }
        let message = format!("it has {found} bytes instead of {}", self.bytes);
        Err(Error::damaged(path.display().to_string(), message))
    }
}

impl State {
    /// Reads a state and refuses one of another output.
    fn read(plan: &Plan, state: &SinkState) -> Result<Self> {
        let state = Self::deserialize(&state.0)
            .map_err(|error| Error::damaged("the sink's state", error.to_string()))?;
        if state.version != VERSION {
            let message = format!("version {} instead of {VERSION}", state.version);
            return Err(Error::damaged("the sink's state", message));
        }
        if state.format != plan.format {
            let message = format!("it was {}, now it is {}", state.format, plan.format);
            return Err(Error::changed("the output's format", message));
        }
        if state.columns != plan.columns {
            let message = "the extract or the escaping of formulas is another one; restore it, or \
                           begin the job anew";
            return Err(Error::changed("the output's columns", message));
        }
        Ok(state)
    }
}
