// Turns the conformance tests of the npm package @bufbuild/cel-spec into one JSON line a test,
// without those that need protocol buffers or only look at static types.
import { tests } from "./package/dist/esm/testdata/conformance.js";
import fs from "fs";
const all = [];
(function walk(s, path) { for (const t of s.tests ?? []) all.push({ section: path[0], t }); for (const c of s.suites ?? []) walk(c, [...path, c.name]); })(tests, []);
const WRAPPED = { Int32Value: x => ({ int: String(x) }), Int64Value: x => ({ int: x }), UInt32Value: x => ({ uint: String(x) }), UInt64Value: x => ({ uint: x }), FloatValue: x => ({ double: String(x) }), DoubleValue: x => ({ double: String(x) }), BoolValue: x => ({ bool: x }), StringValue: x => ({ string: x }), BytesValue: x => ({ bytes: x }), ListValue: json, Struct: json, Value: json };
function json(x) { if (x === null) return { null: true }; if (typeof x === 'number') return { double: String(x) }; if (typeof x === 'string') return { string: x }; if (typeof x === 'boolean') return { bool: x }; if (Array.isArray(x)) return { list: x.map(json) }; return { map: Object.entries(x).map(([k, v]) => [{ string: k }, json(v)]) }; }
const PROTO = /TestAllTypes|google\.protobuf\.(Any|BoolValue|BytesValue|DoubleValue|FloatValue|Int32Value|Int64Value|UInt32Value|UInt64Value|StringValue|Struct|Value|ListValue|Empty|FieldMask|NullValue)|enumValue|GlobalEnum|NestedEnum|proto\.(has|get)Ext|TestRequired|\bValue\{/;
const SKIP = new Set(["enums", "proto2", "proto2_ext", "proto3", "wrappers"]);
function value(v) {
  const [[kind, x]] = Object.entries(v);
  switch (kind) {
    case "int64Value": return { int: x };
    case "uint64Value": return { uint: x };
    case "doubleValue": return { double: Object.is(x, -0) ? "-0" : String(x) };
    case "stringValue": return { string: x };
    case "bytesValue": return { bytes: x };
    case "boolValue": return { bool: x };
    case "nullValue": return { null: true };
    case "typeValue": return { type: x };
    case "listValue": return { list: (x.values ?? []).map(value) };
    case "mapValue": return { map: (x.entries ?? []).map(e => [value(e.key), value(e.value)]) };
    case "objectValue": {
      if (x["@type"].endsWith("Duration")) return { duration: x.value };
      if (x["@type"].endsWith("Timestamp")) return { timestamp: x.value };
      const wrapped = WRAPPED[x["@type"].split(".").pop()];
      if (wrapped) return wrapped(x.value);
      throw new Error("object " + x["@type"]);
    }
    default: throw new Error(kind);
  }
}
let na = 0; const naBy = {}; const lines = [];
for (const { section, t } of all) {
  const o = t.original; const { name, container, typeEnv, description, disableCheck, ...rest } = o;
  const skip = () => { na++; naBy[section] = (naBy[section] || 0) + 1; };
  if (SKIP.has(section) || PROTO.test(o.expr) || PROTO.test(JSON.stringify(o.value ?? {})) || o.checkOnly) { skip(); continue; }
  const line = { section, name, expr: o.expr };
  if (container) line.container = container;
  try {
    if (o.bindings) line.bindings = Object.fromEntries(Object.entries(o.bindings).map(([k, v]) => [k, value(v.value)]));
    const v = o.value ?? o.typedResult?.result;
    if (o.evalError) line.error = true; 
    else if (v) line.value = value(v);
    else line.value = { bool: true };
  } catch (e) { skip(); console.error(section, name, String(e)); continue; }
  if (t.type) line.type = t.type;
  lines.push(JSON.stringify(line));
}
console.error(all.length, "n/a", na, naBy, "kept", lines.length);
fs.writeFileSync("tests.jsonl", lines.join("\n") + "\n");
