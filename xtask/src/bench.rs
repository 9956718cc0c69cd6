//! `cargo xtask bench`: the engine's benches in release mode, and their result with the machine, the commit and the date in
//! `bench/results/`.
//!
//! It knows nothing of what is measured: the engine writes its JSON, and this puts it into an envelope. Invariant: a quick
//! run leaves no result, since its numbers mean nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::shell::{Outcome, cargo, program, root};

/// Runs `apprentice bench ARGS` and keeps the result.
pub fn run(args: &[String]) -> Outcome {
    let load = load_average();
    let scratch = tempfile::tempdir().map_err(|e| format!("cannot make a folder: {e}"))?;
    let out = scratch.path().join("bench.json");
    let engine = cargo(&["run", "--release", "--quiet", "--bin", "apprentice", "--", "bench"]);
    engine.args(args).args(["--out".as_ref(), out.as_os_str()]).run()?;
    if args.iter().any(|arg| arg == "--quick") {
        return Ok(());
    }
    let text = fs::read_to_string(&out).map_err(|e| format!("the bench left no JSON: {e}"))?;
    let result: Value =
        serde_json::from_str(&text).map_err(|e| format!("the bench's JSON: {e}"))?;
    let date = today();
    let path = root().join("bench/results").join(file_name(&date, &result));
    let envelope = json!({
        "date": date, "commit": commit()?, "command": format!("cargo xtask bench {}", args.join(" ")).trim_end(),
        "machine": machine(load), "bench": result,
    });
    write(&path, &envelope)
}

/// Writes a result, and says where it lies.
pub fn write(path: &Path, result: &Value) -> Outcome {
    let text = serde_json::to_string_pretty(result).map_err(|e| e.to_string())?;
    fs::write(path, text + "\n").map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    eprintln!("{}", shown(path));
    Ok(())
}

/// The day, as ISO 8601.
pub fn today() -> String {
    date(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()))
}

/// The day, the device and the model: a second run on the same day takes the place of the first.
fn file_name(date: &str, result: &Value) -> String {
    let word = |key: &str| result[key].as_str().unwrap_or("unknown").to_lowercase();
    let software = if result["software"] == true { "-software" } else { "" };
    let name = format!("{date}-bench-{}{software}-{}", word("device"), word("model"));
    let kept = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    name.chars().map(kept).collect::<String>() + ".json"
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// The commit that lies in the folder.
pub fn commit() -> Outcome<String> {
    let hint = "install git";
    let id = program("git", &["rev-parse", "--short", "HEAD"], hint).read()?;
    let changed =
        program("git", &["status", "--porcelain", "--untracked-files=no"], hint).read()?;
    let mark = if changed.trim().is_empty() { "" } else { " and changes" };
    Ok(format!("{}{mark}", id.trim()))
}

/// What a number depends on: processor, cores, memory, system, and how busy it was before.
pub fn machine(load: Option<String>) -> Value {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = field(&read("/proc/cpuinfo"), "model name");
    let flags = field(&read("/proc/cpuinfo"), "flags").unwrap_or_default();
    let simd = ["avx2", "fma", "avx512f", "avx512_vnni"];
    let simd: Vec<_> =
        simd.into_iter().filter(|flag| flags.split(' ').any(|f| f == *flag)).collect();
    json!({
        "cpu": cpu, "cores": std::thread::available_parallelism().map_or(0, usize::from), "simd": simd,
        "memory": field(&read("/proc/meminfo"), "MemTotal"), "load_before": load,
        "system": format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
    })
}

/// How many jobs ran in the last minute.
pub fn load_average() -> Option<String> {
    let path = PathBuf::from("/proc/loadavg");
    let text = fs::read_to_string(path).ok()?;
    text.split(' ').next().map(str::to_string)
}

/// The first `key: value` line's value.
fn field(text: &str, key: &str) -> Option<String> {
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs
        .into_iter()
        .find(|(name, _)| name.trim() == key)
        .map(|(_, value)| value.trim().to_string())
}

/// The day of a Unix time, as ISO 8601: days since 1970 in the Gregorian calendar, whose years begin in March here so that
/// the leap day comes last (Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn date(seconds: u64) -> String {
    let days = seconds / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (seconds, day) in [
            (0, "1970-01-01"),
            (86_399, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_735_689_599, "2024-12-31"),
            (1_795_219_200, "2026-11-21"),
        ] {
            assert_eq!(date(seconds), day);
        }
    }

    #[test]
    fn a_file_is_named_by_day_device_and_model() {
        let result = json!({ "device": "gpu", "software": true, "model": "Smollm2 135M/8k" });
        let name = file_name("2026-11-21", &result);
        assert_eq!(name, "2026-11-21-bench-gpu-software-smollm2-135m-8k.json");
    }

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "model\t\t: 1\nmodel name\t: A CPU\nflags : fma avx2\n";
        assert_eq!(field(text, "model name").as_deref(), Some("A CPU"));
        assert_eq!(field(text, "name"), None);
    }
}
