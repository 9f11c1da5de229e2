//! A process: a runtime of one thread with a clock of its own. Killed, it is dropped with all its tasks, wherever they are.

use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub struct Process {
    life: Option<Life>,
    /// How many times it was started.
    pub lives: u32,
    /// What its clock does in a thousand milliseconds.
    rate: u64,
    /// Stopped (SIGSTOP) until then; after that its clock has jumped.
    pub stopped_until_ms: u64,
}

struct Life {
    runtime: Runtime,
    main: JoinHandle<()>,
    /// What its clock said when true time was `began_ms`.
    began: Instant,
    began_ms: u64,
}

impl Process {
    pub fn new(rate: u64) -> Process {
        Process { life: None, lives: 0, rate, stopped_until_ms: 0 }
    }

    pub fn is_alive(&self) -> bool {
        self.life.is_some()
    }

    pub fn start(&mut self, now_ms: u64, main: impl Future<Output = ()> + Send + 'static) {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let began = runtime.block_on(async { Instant::now() });
        let main = runtime.spawn(main);
        self.lives += 1;
        self.stopped_until_ms = 0;
        self.life = Some(Life { runtime, main, began, began_ms: now_ms });
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.life = None;
    }

    /// Runs it up to this time, unless it is stopped; false once its main task has ended.
    pub fn run_until(&mut self, now_ms: u64) -> bool {
        let Some(life) = &mut self.life else { return true };
        if now_ms < self.stopped_until_ms {
            return true;
        }
        let own = Duration::from_millis((now_ms - life.began_ms) * self.rate / 1_000);
        life.runtime.block_on(async { tokio::time::sleep_until(life.began + own).await });
        !life.main.is_finished()
    }
}
