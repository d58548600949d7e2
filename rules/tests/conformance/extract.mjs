// Turns the conformance tests of the npm package @bufbuild/cel-spec, and cel-go's tests of its type
// checker in it, into one JSON line a test, without those that need protocol buffers. Of the first,
// those that only look at static types are left out too.
import { tests } from "./package/dist/esm/testdata/conformance.js";
import { tests as checking } from "./package/dist/esm/testdata/checking.js";
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
// A type as it is written in a signature; throws for those that we have not.
const PRIMITIVE = { INT64: "int", UINT64: "uint", DOUBLE: "double", BOOL: "bool", STRING: "string", BYTES: "bytes" };
function type(t) {
  if (t.primitive) return PRIMITIVE[t.primitive];
  if (t.listType) return `list(${type(t.listType.elemType)})`;
  if (t.mapType) return `map(${type(t.mapType.keyType)}, ${type(t.mapType.valueType)})`;
  if (t.abstractType?.name === "optional_type") return `optional(${type(t.abstractType.parameterTypes[0])})`;
  if (t.wellKnown === "DURATION" || t.messageType === "google.protobuf.Duration") return "duration";
  if (t.wellKnown === "TIMESTAMP" || t.messageType === "google.protobuf.Timestamp") return "timestamp";
  if ("null" in t) return "null";
  if ("dyn" in t || "typeParam" in t) return "dyn";
  throw new Error(JSON.stringify(t));
}
function environment(typeEnv) { return Object.fromEntries((typeEnv ?? []).map(e => [e.name, type(e.ident.type)])); }
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
  if (disableCheck) line.unchecked = true;
  try {
    if (typeEnv) line.variables = environment(typeEnv);
  } catch {
    // Bound to a wrapper message, whose value is bound instead: its type is left to run time.
  }
  lines.push(JSON.stringify(line));
}
console.error(all.length, "n/a", na, naBy, "kept", lines.length);
fs.writeFileSync("tests.jsonl", lines.join("\n") + "\n");

// What cel-go's tests of its checker declare where a test says nothing else.
const DECLARED = { is: "string", ii: "int", iu: "uint", iz: "bool", ib: "bytes", id: "double", ix: "null" };
const lines2 = [];
let skipped = 0;
for (const t of checking.tests) {
  const { expr, typeEnv, container } = t.original;
  if (PROTO.test(expr) || PROTO.test(JSON.stringify(typeEnv ?? "")) || /pb[23]|google\.expr|TestAllTypes/.test(JSON.stringify(t.original))) { skipped++; continue; }
  // Functions and abstract types of the test's own; we have no way to declare any.
  if ((typeEnv ?? []).some(e => e.function) || /^(fg_s|is\.fi_s_s)/.test(expr)) { skipped++; continue; }
  let variables;
  try { variables = environment(typeEnv); } catch (e) { skipped++; console.error(expr, String(e)); continue; }
  const line = { expr, variables: Object.keys(variables).length > 0 ? variables : DECLARED };
  if (container) line.container = container;
  if (t.error) line.error = t.error; else line.type = t.type;
  lines2.push(JSON.stringify(line));
}
console.error("checking", checking.tests.length, "kept", lines2.length);
fs.writeFileSync("checking.jsonl", lines2.join("\n") + "\n");
