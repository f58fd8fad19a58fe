// check.mjs SCHEMA: reads [{name, text}…] (workflow files) from standard input and prints [{name, valid, errors}…].
import {readFileSync} from 'node:fs';
import Ajv from 'ajv/dist/2020.js';
import {parse} from 'yaml';

const schema = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const ajv = new Ajv({allErrors: true, strict: true, strictTypes: false, strictRequired: false});
const validate = ajv.compile(schema);

const answers = JSON.parse(readFileSync(0, 'utf8')).map(({name, text}) => {
  let value;
  try {
    value = parse(text, {version: '1.2', merge: true});
  } catch (error) {
    return {name, valid: false, errors: [`no YAML: ${error.message}`]};
  }
  const valid = validate(value);
  return {name, valid, errors: (validate.errors ?? []).map((e) => `${e.instancePath}: ${e.message}`)};
});
process.stdout.write(JSON.stringify(answers));
