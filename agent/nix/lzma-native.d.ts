/** The part of lzma-native 8 that the agent uses; the package ships no types. */
declare module 'lzma-native' {
  import type { Transform } from 'node:stream';

  export interface LzmaStream extends Transform {
    /** Frees the native coder; needed when the stream is left before its end. */
    cleanup(): void;
  }

  export interface DecoderOptions {
    /** Most memory that the decoder may take, in bytes. */
    memlimit?: number;
    /** Size of each output buffer in bytes. */
    bufsize?: number;
  }

  export interface EncoderOptions {
    /** 0 to 9. */
    preset: number;
    /** Size of each output buffer in bytes. */
    bufsize?: number;
  }

  const lzma: {
    createStream(coder: 'streamDecoder' | 'aloneDecoder', options: DecoderOptions): LzmaStream;
    createStream(coder: 'easyEncoder', options: EncoderOptions): LzmaStream;
  };
  export default lzma;
}
