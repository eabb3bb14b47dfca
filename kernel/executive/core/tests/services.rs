//! What of the services has neither assembly nor statics: tested and modelled here, with the
//! core's.
#[path = "../../services/src/irq/lineword.rs"]
pub mod lineword;
#[path = "../../services/src/sync/lockword.rs"]
pub mod lockword;
#[path = "../../services/src/irq/meeting.rs"]
pub mod meeting;
#[path = "../../services/src/irq/masks.rs"]
pub mod masks;
#[path = "../../services/src/param.rs"]
pub mod param;
#[path = "../../services/src/sync/readers.rs"]
pub mod readers;
#[path = "../../services/src/wakeword.rs"]
pub mod wakeword;
