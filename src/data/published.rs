//! The table of known data sets: their files with sizes and checksums, where they are published, and under what terms.
//!
//! Origin of the SHA-256 digests. MNIST and Fashion-MNIST: the original files, whose MD5s their authors publish. SVHN:
//! as recorded by TensorFlow Datasets (`svhn_cropped`). The series: github.com/jbrownlee/Datasets at d20fcb6.

use super::source::{Content, File, Format, Source};

/// Every known data set, in the order in which `data list` shows them.
pub static SOURCES: [Source; 7] = [
    DIGITS,
    MNIST,
    FASHION_MNIST,
    MNIST_32,
    SVHN,
    MELBOURNE,
    SUNSPOTS,
];

const DIGITS: Source = Source {
    name: "digits",
    title: "8x8 handwritten digits, embedded in the program",
    format: Format::Embedded,
    folder: "digits",
    files: &[],
    samples: (1437, 360),
    shape: (1, 8, 8),
    classes: 10,
    largest: 16.0,
    mirrors: &[],
    licence: "UCI optical digits (Alpaydin & Kaynak 1998) by way of scikit-learn, BSD 3-Clause",
};

const MNIST: Source = Source {
    name: "mnist",
    title: "MNIST, handwritten digits, 28x28",
    format: Format::Idx,
    folder: "mnist",
    files: &[
        File {
            name: "train-images-idx3-ubyte.gz",
            published: "train-images-idx3-ubyte.gz",
            bytes: 9_912_422,
            sha256: &["440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"],
            content: Some(Content {
                bytes: 47_040_016,
                sha256: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            }),
        },
        File {
            name: "train-labels-idx1-ubyte.gz",
            published: "train-labels-idx1-ubyte.gz",
            bytes: 28_881,
            sha256: &["3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"],
            content: Some(Content {
                bytes: 60_008,
                sha256: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            }),
        },
        File {
            name: "t10k-images-idx3-ubyte.gz",
            published: "t10k-images-idx3-ubyte.gz",
            bytes: 1_648_877,
            sha256: &["8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"],
            content: Some(Content {
                bytes: 7_840_016,
                sha256: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            }),
        },
        File {
            name: "t10k-labels-idx1-ubyte.gz",
            published: "t10k-labels-idx1-ubyte.gz",
            bytes: 4_542,
            sha256: &["f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"],
            content: Some(Content {
                bytes: 10_008,
                sha256: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            }),
        },
    ],
    samples: (60_000, 10_000),
    shape: (1, 28, 28),
    classes: 10,
    largest: 255.0,
    mirrors: &[
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ],
    licence: "Y. LeCun, C. Cortes, C. J. C. Burges; no licence stated",
};

const FASHION_MNIST: Source = Source {
    name: "fashion-mnist",
    title: "Fashion-MNIST, clothing, 28x28",
    format: Format::Idx,
    folder: "fashion-mnist",
    files: &[
        File {
            name: "train-images-idx3-ubyte.gz",
            published: "train-images-idx3-ubyte.gz",
            bytes: 26_421_880,
            sha256: &["3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"],
            content: Some(Content {
                bytes: 47_040_016,
                sha256: "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            }),
        },
        File {
            name: "train-labels-idx1-ubyte.gz",
            published: "train-labels-idx1-ubyte.gz",
            bytes: 29_515,
            sha256: &["a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"],
            content: Some(Content {
                bytes: 60_008,
                sha256: "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            }),
        },
        File {
            name: "t10k-images-idx3-ubyte.gz",
            published: "t10k-images-idx3-ubyte.gz",
            bytes: 4_422_102,
            sha256: &["346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"],
            content: Some(Content {
                bytes: 7_840_016,
                sha256: "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            }),
        },
        File {
            name: "t10k-labels-idx1-ubyte.gz",
            published: "t10k-labels-idx1-ubyte.gz",
            bytes: 5_148,
            sha256: &["67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"],
            content: Some(Content {
                bytes: 10_008,
                sha256: "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            }),
        },
    ],
    samples: (60_000, 10_000),
    shape: (1, 28, 28),
    classes: 10,
    largest: 255.0,
    mirrors: &["http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"],
    licence: "Expat (MIT), (c) 2017 Zalando SE",
};

/// MNIST's own files, padded while they are read.
const MNIST_32: Source = Source {
    name: "mnist-32",
    title: "MNIST padded to 32x32, three equal channels (for SVHN's networks)",
    format: Format::IdxPadded,
    shape: (3, 32, 32),
    ..MNIST
};

const SVHN: Source = Source {
    name: "svhn",
    title: "SVHN, house numbers, 32x32 colour",
    format: Format::Svhn,
    folder: "svhn",
    files: &[
        File {
            name: "train_32x32.mat",
            published: "train_32x32.mat",
            bytes: 182_040_794,
            sha256: &["435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8"],
            content: None,
        },
        File {
            name: "test_32x32.mat",
            published: "test_32x32.mat",
            bytes: 64_275_384,
            sha256: &["cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b"],
            content: None,
        },
    ],
    samples: (73_257, 26_032),
    shape: (3, 32, 32),
    classes: 10,
    largest: 255.0,
    mirrors: &["http://ufldl.stanford.edu/housenumbers/"],
    licence: "Netzer et al. 2011; for non-commercial use only",
};

/// Daily minimum temperatures in Melbourne, 1981 to 1990, in degrees Celsius.
const MELBOURNE: Source = Source {
    name: "melbourne",
    title: "daily minimum temperatures, Melbourne 1981-1990",
    format: Format::Series,
    folder: "series",
    files: &[File {
        name: "melbourne-min-temp.csv",
        published: "daily-min-temperatures.csv",
        bytes: 67_921,
        sha256: &[
            "8b9de63ed6789492bf497625e7f9beb96a63d367b4b0a21754006f749fa5e5da",
            // The same values under the header "date,value", without quotes.
            "11b99b67af23e3ea0f2b5a64d1380f9bd9637aa41f0f49bd27aafe6a39bd6a4a",
        ],
        content: None,
    }],
    samples: (3650, 0),
    shape: (1, 1, 1),
    classes: 0,
    largest: 26.3,
    mirrors: SERIES_MIRRORS,
    licence: "Australian Bureau of Meteorology by way of the Time Series Data Library; no licence stated",
};

/// Monthly sunspot numbers of Zurich, 1749 to 1983.
const SUNSPOTS: Source = Source {
    name: "sunspots",
    title: "monthly sunspot numbers, Zurich 1749-1983",
    format: Format::Series,
    folder: "series",
    files: &[File {
        name: "zurich-sunspots.csv",
        published: "monthly-sunspots.csv",
        bytes: 45_039,
        sha256: &[
            "c4ec8cc57d9f6fb6ecdb3e1f37f25b6f4badd5124c55931052b0cd2fc3bc71f3",
            // The same values under the header "date,value", without quotes.
            "0e506f72bd757edadd6745ba6870e2a774777afceeea777a42483d25c914d777",
        ],
        content: None,
    }],
    samples: (2820, 0),
    shape: (1, 1, 1),
    classes: 0,
    largest: 253.8,
    mirrors: SERIES_MIRRORS,
    licence: "Andrews & Herzberg 1985, also R's `datasets::sunspots`; no licence stated",
};

const SERIES_MIRRORS: &[&str] = &[
    "https://raw.githubusercontent.com/jbrownlee/Datasets/d20fcb6402ae34e653d4513b00f39257bb37ed7f/",
    "https://raw.githubusercontent.com/jbrownlee/Datasets/master/",
];
