// Fetch a mailbox with node-pop3: fetch.mjs HOST PORT USER PASSWORD FOLDER
//
// Each message goes to FOLDER/N.eml, from the stream that the package gives, and is deleted on the server.
import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import Pop3Command from 'node-pop3';

const [host, port, user, password, folder] = process.argv.slice(2);
const client = new Pop3Command({ host, port: Number(port), user, password, timeout: 30000 });
const count = Number((await client.STAT()).split(' ')[0]);
for (let number = 1; number <= count; number++) {
  const [, stream] = await client.command('RETR', number);
  await pipeline(stream, createWriteStream(`${folder}/${number}.eml`));
  await client.command('DELE', number);
}
await client.QUIT();
console.log(count);
