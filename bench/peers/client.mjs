// node-pop3: client.mjs retr|list|show PORT COUNT [CA]
//
// retr receives the messages 1 to COUNT and drops them; list parses LIST and UIDL, COUNT entries each; show writes
// message 1 to standard output. With CA it is TLS from the first octet.
import { readFileSync } from 'node:fs';
import Pop3Command from 'node-pop3';

const [job, port, count, ca] = process.argv.slice(2);
const tls = ca ? { tls: true, tlsOptions: { ca: readFileSync(ca) }, servername: 'localhost' } : {};
const account = { host: 'localhost', port: Number(port), user: 'alice', password: 'secret' };
const client = new Pop3Command({ ...account, timeout: 60000, ...tls });
if (job === 'list') {
  const lists = [await client.LIST(), await client.UIDL()];
  if (lists.some((list) => list.length !== Number(count))) throw new Error('entries are missing');
} else if (job === 'show') {
  process.stdout.write(await client.RETR(1));
} else {
  for (let number = 1; number <= Number(count); number++) await client.RETR(number);
}
await client.QUIT();
