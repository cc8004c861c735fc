//! Rows of input and output of Argo's plugin (README: `oracle/README.md`), run through ours.
//!
//! The rows lie in `oracle/argo/`; with `SLUICE_ORACLE_DIR` set, those in its folder `argo/` are taken instead. Rows
//! that differ on purpose are listed, with the reason, in `oracle/different_on_purpose.txt`.

#![expect(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a row of another shape than expected fails its test; the counts are printed for people"
)]

#[path = "oracle/api_server.rs"]
mod api_server;
#[path = "oracle/patches.rs"]
mod patches;
#[path = "oracle/table.rs"]
mod table;
#[path = "oracle/texts.rs"]
mod texts;

#[test]
fn get_rollout_prints_argos_text() {
    table::check("get_rollout_text", texts::get_rollout);
}

#[test]
fn pods_are_summed_up_as_argos() {
    table::check("pod_status_text", texts::pod_status);
}

#[test]
fn commands_send_argos_patches() {
    table::check("plugin_patches", patches::commands);
}

#[test]
fn set_image_and_undo_write_what_argos_write() {
    table::check("plugin_undo_setimage", patches::set_image_and_undo);
}
