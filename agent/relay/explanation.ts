import * as v from 'valibot';

const bytes = v.pipe(v.number(), v.integer(), v.minValue(0));

/** A NAR's file as one narinfo describes it. */
const fileSchema = v.object({
  compression: v.string(),
  /** Null where the narinfo does not tell. */
  fileSize: v.nullable(bytes),
  narSize: bytes,
  /** `sha256:` and base32. */
  narHash: v.string(),
  signatures: v.array(
    v.object({
      /** Its name. */
      key: v.string(),
      /** `unknown` is by a key that is not trusted, `wrong` does not verify. */
      worth: v.picklist(['trusted', 'unknown', 'wrong']),
    }),
  ),
});

const sourceSchema = v.object({
  id: v.string(),
  reach: v.picklist(['disk', 'lan', 'upstream']),
  health: v.picklist(['unknown', 'up', 'down', 'captive']),
  latencyMs: v.nullable(v.number()),
  /** `chosen`: it is read from; `spare`: it could be; `refused`: what it has does not count; `absent`; `unknown`: it did not say. */
  verdict: v.picklist(['chosen', 'spare', 'refused', 'absent', 'unknown']),
  /** In a sentence. */
  why: v.string(),
  /** What its narinfo says; null where it has none. */
  file: v.nullable(fileSchema),
});

/** Who has a path, from where it would come now, and why not from the others: what `GET /why/HASHPART` answers. */
export const explanationSchema = v.object({
  schema: v.literal(1),
  hashPart: v.string(),
  /** Of the NAR that counts; null where nobody has one. */
  path: v.nullable(
    v.object({
      /** In full. */
      storePath: v.string(),
      /** The key that signed it, or `content address`. */
      trustedBy: v.string(),
      narHash: v.string(),
      narSize: bytes,
      /** How many. */
      references: v.number(),
    }),
  ),
  /** In the cache directory. */
  stored: v.nullable(fileSchema),
  /** Where the NAR would be read from now: `disk` for the cache directory, a source's id, or null for nowhere. */
  from: v.nullable(v.string()),
  /** In the order in which they are asked. */
  sources: v.array(sourceSchema),
});

export type Explanation = v.InferOutput<typeof explanationSchema>;
export type ExplainedSource = v.InferOutput<typeof sourceSchema>;
export type ExplainedFile = v.InferOutput<typeof fileSchema>;
