import { runCommand } from '../e2e/harness/run-command.ts';

/**
 * Downloads with curl and throws the bytes away; resolves to the seconds that it took.
 * @throws Error unless it is a 200 with exactly `size` bytes
 */
export async function download(url: string, size: number): Promise<number> {
  const format = '%{http_code} %{size_download} %{time_total}';
  const { stdout, stderr } = await runCommand(['curl', '-sS', '-o', '/dev/null', '-w', format, url], {
    timeoutMs: 600_000,
  });
  const [status, bytes, seconds] = stdout.split(' ').map(Number);
  if (status === 200 && bytes === size && seconds !== undefined) return seconds;
  throw new Error(`${url} gave status ${status} and ${bytes} of ${size} bytes. ${stderr}`);
}
