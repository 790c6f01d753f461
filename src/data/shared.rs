//! A value in an `Arc`, as serde writes the value itself.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(crate) fn serialize<V: Serialize, S: Serializer>(
    value: &Arc<V>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    value.as_ref().serialize(serializer)
}

pub(crate) fn deserialize<'de, V: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Arc<V>, D::Error> {
    V::deserialize(deserializer).map(Arc::new)
}
