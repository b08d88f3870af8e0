/** What was tried for the figures that are asked for, or why they are out of reach; shown beside a figure that falls short. */
export const tried = {
  start:
    '`npm start` reads TypeScript, whose types Node takes out again at each start; the package has them taken out. Tried: keeping what Node makes of the sources (docs/decisions/compile-cache.md), loading undici by parts, node:http only when it is needed, fewer modules before the first answer.',
  narinfos:
    'The aim is reached where nothing else uses the two cores. A request costs 37 µs, most of it in node:http. Tried: rendered narinfos kept, headers in one piece, no work per request that is not for it.',
  lookups:
    'Tried: 16, 96 and 256 questions ahead at once; 32, 96 and 256 connections; pipelining of 4 and 8; 24 connections opened before they are needed, which gave nothing; HTTP/2 with 256 streams, which is what is used where the source speaks it (docs/decisions/http-to-sources.md). It was 1.06 before. What is left is the time until the first references are known, level by level, and CPU time.',
  slowLink:
    'Out of reach: real Nix alone needs only a few percent more than bytes ÷ rate here, so that nothing which fetches the same bytes can take 0.8 of it. Of the rest, the first levels of narinfos and the end of the last NARs, for which nothing else is left to fetch, cannot overlap. Tried: lookups over HTTP/2; connections opened before they are needed; NARs fetched before Nix asks for them (docs/decisions/fetch-ahead.md), which took 0.7 s off. 1.2 s pass before Nix asks for its first NAR: it has to have all narinfos first.',
  coldClosure:
    "Decoding xz is half of the relay's CPU time here: lzma-native as npm installs it has a liblzma without optimisation, at 17 to 19 s/GB against 13 of `xz -dc` (the Nix package builds it against the system's). Real Nix does nothing but decode; the relay also looks up, hashes, verifies and stores durably, on the same two cores. Tried: liblzma and xz-embedded as WebAssembly (13 s/GB, but one decoder a thread, or a package that does not install everywhere), a native decoder in Rust (13 to 16 s/GB, without any bound on what it holds in memory), passing xz on while it is verified (Nix decodes it a second time, on the same cores), fewer collections of garbage.",
  warmClosure:
    'Tried: decoding in the relay (2.6), then passing on the stored file as it is (docs/decisions/as-stored.md). What is left are narinfos and requests that node:http answers more slowly than nginx does.',
  decoding:
    "lzma-native as npm installs it reaches 0.56 of `xz -dc` by itself, node:zlib's zstd 0.6 of `zstd -dc`; hashing, storing and sending take the rest of a core. Tried: slices of 1 to 16 KiB, output buffers of 64 KiB to 1 MiB, output gathered to 256 KiB, the decoder going on while its output is hashed and sent.",
  memory:
    'Tried: docs/decisions/memory.md. Node with the program loaded and nothing done takes 80 to 100 MiB of it.',
  watched:
    'Counters and events cost the same however many watch; what is left is the writing of /events itself, at most once a second, and its reader, on the same two cores.',
} as const;
