//! `apprentice devices`: the adapters, their tiers and limits, and which device `auto` takes and why.

use super::{Common, output};
use crate::device::{adapters, auto_reason, threads};
use crate::error::Error;
use serde_json::json;

pub async fn devices(common: &Common) -> Result<(), Error> {
    let all = adapters().await;
    let auto = auto_reason(&all);
    if common.json {
        return output::json(&json!({ "adapters": all, "cpu_threads": threads(), "auto": auto }));
    }
    for adapter in &all {
        output::line(&format!("gpu   {} ({}, {})", adapter.name, adapter.kind, adapter.driver))?;
        output::line(&format!(
            "      tier {}, {} MiB a binding, {} MiB a buffer, {} KiB of workgroup memory, {} invocations",
            adapter.tier,
            adapter.binding_bytes_max >> 20,
            adapter.buffer_bytes_max >> 20,
            adapter.workgroup_bytes >> 10,
            adapter.invocations
        ))?;
        if !adapter.features.is_empty() {
            output::line(&format!("      has {}", adapter.features.join(", ")))?;
        }
    }
    output::line(&format!("cpu   {} threads", threads()))?;
    output::line(&format!("auto  {auto}"))
}
