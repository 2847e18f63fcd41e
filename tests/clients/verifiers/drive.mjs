import { readFileSync } from "node:fs";

const { SignatureError, verify } = await import(process.argv[2]);

for (const line of readFileSync(0, "utf8").trimEnd().split("\n")) {
  const [now, secrets, body, ...headers] = line.split("\t");
  try {
    verify(Buffer.from(body, "base64"), Object.fromEntries(headers.map((each) => each.split(": "))), secrets.split(","), 300, Number(now));
    console.log("valid");
  } catch (error) {
    if (!(error instanceof SignatureError)) throw error;
    console.log(error.message);
  }
}
