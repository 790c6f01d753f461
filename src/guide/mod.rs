//! The guide: chapters for people who use the program or the library. `eki-mpi guide` shows them in the terminal.
//!
//! A chapter links to others by name, as in `[answers]`, and ends with `[answers]: answers.md` for those who read the files. Here the links
//! go to the modules below, which come first.

/// A chapter of the guide.
#[derive(Clone, Copy, Debug)]
pub struct Chapter {
    /// The word that `eki-mpi guide` takes, and the file's name.
    pub name: &'static str,
    /// Its subject, in a line.
    pub about: &'static str,
    /// Its text, in Markdown.
    pub text: &'static str,
}

/// Declares the chapters, in the order in which they are listed: a module with its name in Rust, the name of its file, what it is about.
macro_rules! chapters {
    ($($module:ident $name:literal $about:literal;)*) => {
        chapters!(@links concat!($("[", $name, "]: self::", stringify!($module), "\n"),*, "\n"); $($module $name $about;)*);
    };
    (@links $links:expr; $($module:ident $name:literal $about:literal;)*) => {
        /// All chapters.
        pub const CHAPTERS: &[Chapter] = &[$(Chapter {
            name: $name,
            about: $about,
            text: include_str!(concat!($name, ".md")),
        }),*];

        $(
            #[doc = $links]
            #[doc = include_str!(concat!($name, ".md"))]
            pub mod $module {}
        )*
    };
}

chapters! {
    tutorial_calibrate "tutorial-calibrate" "First steps: calibrate a simulator of your own";
    tutorial_network "tutorial-network" "First steps: train a network; all presets";
    own_data "own-data" "First steps: train a network on your own data";
    tutorial_series "tutorial-series" "First steps: learn a series online";
    library "library" "First steps: calibrate a function in Rust";
    python "python" "First steps: calibrate a function in Python; read a run";
    simulators "simulators" "How a simulator is asked; failures; simulations that are jobs of their own";
    priors_and_observations "priors-and-observations" "What is believed and what is known: laws, random fields, tables, noise";
    answers "answers" "How to read the verdict, the parameters and the predictive check";
    uncertainty "uncertainty" "Best fit or posterior: how to get error bars";
    history "history" "What a run keeps of its simulations; twin, replay and verify";
    choosing "choosing" "Choosing the method, J, h and gamma";
    methods "methods" "A card for each method; steps that can be taken back; inflation";
    localisation "localisation" "Many parameters, few members";
    running "running" "Ranks and threads, stopping, going on, exit codes";
    sweeps "sweeps" "Many runs in one command";
    files "files" "All files of a run, and how to read them";
    settings "settings" "Every key, its default and its meaning";
    errors "errors" "What a message means, and what to do";
    faq "faq" "Questions and answers";
    theory "theory" "The equations, with references";
    numbers "numbers" "Identical results on any number of processes; precision";
    glossary "glossary" "Words and symbols";
    environment "environment" "Environment variables";
    changelog "changelog" "What changed, and versions of formats";
    contributing "contributing" "Changing the program";
}
