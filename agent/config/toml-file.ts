import { isUtf8 } from 'node:buffer';
import { createReadStream } from 'node:fs';
import { buffer } from 'node:stream/consumers';
import { parse, TomlError } from 'smol-toml';
import { ConfigError } from './error.ts';
import type { Table } from './key.ts';

const maxBytes = 1_048_576;
const maxDepth = 16;

/**
 * The document in a TOML file of at most 1 MiB.
 * @throws ConfigError with file, line and column when it is not TOML, or with the system's reason when it cannot be read
 */
export async function readToml(file: string): Promise<Table> {
  const bytes = await read(file);
  if (bytes.length > maxBytes) throw new ConfigError(`${file} is longer than 1 MiB: is it the right file?`);
  if (!isUtf8(bytes))
    throw new ConfigError(`${file}:${firstBadByte(bytes)}: not UTF-8: save the file in that encoding`);
  try {
    return parse(new TextDecoder().decode(bytes), { maxDepth });
  } catch (error) {
    // Not as its cause: smol-toml's message quotes the lines around, and one of them may hold a secret.
    if (error instanceof TomlError)
      throw new ConfigError(`${file}:${error.line}:${error.column}: ${reason(error)}`);
    throw error;
  }
}

async function read(file: string): Promise<Buffer> {
  try {
    return await buffer(createReadStream(file, { end: maxBytes }));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ConfigError(`The configuration file ${file} cannot be read: ${reason}`, { cause });
  }
}

/** `line:column` of where the text stops being UTF-8. */
function firstBadByte(bytes: Uint8Array): string {
  const good = new TextDecoder().decode(bytes).split('\uFFFD', 1).join();
  return `${good.split('\n').length}:${good.length - good.lastIndexOf('\n')}`;
}

function reason(error: TomlError): string {
  return error.message.replace(/^Invalid TOML document: /, 'not TOML: ').replace(/\n.*/s, '');
}
