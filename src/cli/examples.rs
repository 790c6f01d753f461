//! The examples under each command's help. A test runs each line with `--help` after it.

/// Examples of the program.
pub const PROGRAM: &str = "Examples:
  eki-mpi run digits --out first                      # train a network on digits that come with the program
  eki-mpi check-model mine.toml                       # calibrate a simulator: try it,
  mpirun -n 4 eki-mpi run mine.toml --out fit         # run it on 4 ranks,
  eki-mpi report fit                                  # look at the result
  eki-mpi guide tutorial-calibrate                    # read on";

/// Examples of `run`.
pub const RUN: &str = "Examples:
  eki-mpi run digits --out first --set run.epochs=20
  mpirun -n 16 eki-mpi run mine.toml --out fit
  mpirun -n 8 eki-mpi run mine.toml --out fit --resume --max-time 1h30min
Exit codes: 0 done; 2 bad input, nothing was written; 75 stopped, go on with --resume; 1 anything else";

/// Examples of `presets`.
pub const PRESETS: &str = "Examples:
  eki-mpi presets
  eki-mpi presets posterior > mine.toml
  eki-mpi presets --keys";

/// Examples of `plan`.
pub const PLAN: &str = "Examples:
  eki-mpi plan mine.toml --ranks 64
  mpirun -n 4 eki-mpi plan dnn2 --ranks 512 --calibrate --curve curve";

/// Examples of `evaluate`.
pub const EVALUATE: &str = "Examples:
  eki-mpi evaluate fit
  eki-mpi evaluate fit --json";

/// Examples of `twin`.
pub const TWIN: &str = "Examples:
  mpirun -n 4 eki-mpi twin mine.toml --out fit
  eki-mpi twin fit --csv recovered.csv";

/// Examples of `replay`.
pub const REPLAY: &str = "Examples:
  eki-mpi replay fit
  eki-mpi replay fit --without late
  eki-mpi replay fit --set data.observations=other.csv";

/// Examples of `verify`.
pub const VERIFY: &str = "Examples:
  mpirun -n 3 eki-mpi verify fit
  eki-mpi verify fit --step 7";

/// Examples of `report`.
pub const REPORT: &str = "Examples:
  eki-mpi report fit
  eki-mpi report fit fit2 --out both.html";

/// Examples of `check-model`.
pub const CHECK_MODEL: &str = "Examples:
  eki-mpi check-model mine.toml
  eki-mpi check-model mine.toml --members 20 --patience 10min";

/// Examples of `guide`.
pub const GUIDE: &str = "Examples:
  eki-mpi guide
  eki-mpi guide simulators";

/// Examples of `data`.
pub const DATA: &str = "Examples:
  eki-mpi data
  eki-mpi data fetch mnist --data-dir data";

/// Examples of `completions`.
pub const COMPLETIONS: &str = "Examples:
  eki-mpi completions bash > ~/.local/share/bash-completion/completions/eki-mpi
  eki-mpi completions fish > ~/.config/fish/completions/eki-mpi.fish";

/// Examples of `man`.
pub const MAN: &str = "Examples:
  eki-mpi man run | man -l -
  eki-mpi man --out ~/.local/share/man/man1";
