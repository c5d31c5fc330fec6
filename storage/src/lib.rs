//! Opens buckets: S3 and whatever speaks it, Google Cloud Storage, Azure.
//!
//! [`Storage`] is what an operator configures: endpoints, the service's own identity, the addresses
//! that may be connected to. [`Storage::open`] makes a [`Bucket`] of a [`Location`] for somebody:
//! as the operator, [as nobody](Access::Anonymous), or in a [role](Access::Role) of the user's that
//! the service takes on. What is opened for a user never falls back to the identity of the machine.
//!
//! ```
//! use harvestman_storage::{Access, S3Settings, Storage};
//!
//! let storage = Storage::builder()
//!     .s3(S3Settings::new().with_endpoint("http://127.0.0.1:9000").with_region("eu-central-1"))
//!     .allow("127.0.0.1:9000".parse()?)
//!     .build();
//! let bucket = storage.open(&"s3://lists/nightly.csv".parse()?, &Access::Anonymous)?;
//! assert_eq!(bucket.path().as_ref(), "nightly.csv");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod access;
#[cfg(feature = "azure")]
mod azure;
mod bucket;
mod client;
#[cfg(feature = "gcp")]
mod gcs;
mod location;
#[cfg(feature = "aws")]
mod s3;
mod settings;
mod storage;
mod uploads;

pub use object_store::Error as StoreError;

pub use crate::{
    access::{Access, Role, Scope},
    bucket::Bucket,
    location::{InvalidLocation, Location, Provider},
    settings::{AzureSettings, GcsSettings, S3Settings},
    storage::{Storage, StorageBuilder},
};
