// A form made from a JSON schema. field(schema, root, value, label) → {node, read, mark}

/** JSON with short lists on one line. */
export function json(value, indent = "") {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const short = JSON.stringify(value, null, 1).replace(/\n\s*/g, " ").replace(/^([[{]) | ([\]}])$/g, "$1$2");
  const flat = Array.isArray(value) && value.every((each) => typeof each !== "object" || each === null);
  if (short.length < 3 || (flat && short.length < 76)) return short;
  const inner = `${indent}  `;
  const rows = Array.isArray(value)
    ? value.map((each) => json(each, inner))
    : Object.entries(value).map(([key, each]) => `${JSON.stringify(key)}: ${json(each, inner)}`);
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  return `${open}\n${inner}${rows.join(`,\n${inner}`)}\n${indent}${close}`;
}

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in made && name !== "list") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** The schema a reference stands for, with what stands beside it. */
export function resolved(schema, root) {
  for (let steps = 0; schema?.$ref && steps < 20; steps += 1) {
    const { $ref, ...beside } = schema;
    schema = { ...(root.$defs?.[$ref.split("/").pop()] ?? {}), ...beside };
  }
  return schema ?? {};
}

let number = 0;
const freshId = () => `field-${(number += 1)}`;

/** A thrown problem is about the input, not about this page. */
export class Problem extends Error {}

function labelled(label, hint, control, inline = false) {
  control.id = freshId();
  const text = element("label", { htmlFor: control.id }, label);
  if (hint) text.append(element("span", { className: "hint" }, hint));
  const said = element("p", { className: "wrong", hidden: true });
  const order = inline ? [control, text, said] : [text, control, said];
  const node = element("div", { className: inline ? "field inline" : "field" }, ...order);
  return { node, said };
}

function marking(said, control) {
  return (path, message) => {
    if (path.length) return false;
    said.textContent = message;
    said.hidden = !message;
    control?.setAttribute?.("aria-invalid", message ? "true" : "false");
    return true;
  };
}

const title = (schema, label) => label || schema.title || "value";

function limits(schema) {
  const parts = [];
  if (schema.minimum !== undefined) parts.push(`≥ ${schema.minimum}`);
  if (schema.exclusiveMinimum !== undefined) parts.push(`> ${schema.exclusiveMinimum}`);
  if (schema.maximum !== undefined) parts.push(`≤ ${schema.maximum}`);
  if (schema.exclusiveMaximum !== undefined) parts.push(`< ${schema.exclusiveMaximum}`);
  return [schema.description, parts.join(", ")].filter(Boolean).join("; ");
}

function numberField(schema, value, label) {
  const input = element("input", {
    type: "number", step: schema.type === "integer" ? "1" : "any", value: value ?? "",
  });
  if (schema.minimum !== undefined) input.min = schema.minimum;
  if (schema.maximum !== undefined) input.max = schema.maximum;
  const { node, said } = labelled(title(schema, label), limits(schema), input);
  const read = () => {
    if (input.value === "") throw new Problem(`${title(schema, label)}: a number is needed`);
    return Number(input.value);
  };
  return { node, read, mark: marking(said, input) };
}

function textField(schema, value, label) {
  const text = element("textarea", { rows: 2, value: value ?? "", spellcheck: false });
  const grow = () => {
    text.style.height = "auto";
    text.style.height = `${Math.min(text.scrollHeight + 2, 400)}px`;
  };
  text.addEventListener("input", grow);
  const { node, said } = labelled(title(schema, label), schema.description, text);
  return { node, read: () => text.value, mark: marking(said, text) };
}

function choiceField(schema, value, label) {
  const values = schema.enum ?? [schema.const];
  const select = element("select");
  values.forEach((each, i) => {
    const selected = JSON.stringify(each) === JSON.stringify(value);
    select.append(element("option", { value: String(i), selected }, String(each)));
  });
  const { node, said } = labelled(title(schema, label), schema.description, select);
  return { node, read: () => values[Number(select.value)], mark: marking(said, select) };
}

function switchField(schema, value, label) {
  const box = element("input", { type: "checkbox", checked: Boolean(value) });
  const { node, said } = labelled(title(schema, label), schema.description, box, true);
  return { node, read: () => box.checked, mark: marking(said, box) };
}

function jsonField(schema, value, label) {
  const shown = value === undefined ? "" : json(value);
  const rows = Math.min(12, Math.max(3, shown.split("\n").length));
  const text = element("textarea", { rows, value: shown, spellcheck: false, className: "code" });
  const hint = [schema.description, "JSON"].filter(Boolean).join("; ");
  const { node, said } = labelled(title(schema, label), hint, text);
  const read = () => {
    try {
      return JSON.parse(text.value);
    } catch (error) {
      throw new Problem(`${title(schema, label)} isn't JSON: ${error.message}`);
    }
  };
  // Errors about any part inside are shown here: there is no finer place.
  const mark = marking(said, text);
  return { node, read, mark: (path, message) => mark([], message && [...path, message].join(": ")) };
}

/** A part that may be left out, or be null: a box that switches it on. */
function optionalField(schema, root, value, label, absent) {
  const on = element("input", { type: "checkbox", checked: value !== undefined && value !== null });
  on.id = freshId();
  const inside = field(schema, root, value ?? undefined, label);
  const name = element("label", { htmlFor: on.id }, title(schema, label));
  inside.node.querySelector?.("input, select, textarea")?.setAttribute("aria-label", title(schema, label));
  const node = element("div", { className: "optional" }, element("div", { className: "field inline" }, on, name), inside.node);
  const show = () => { inside.node.hidden = !on.checked; };
  on.addEventListener("change", show);
  show();
  return { node, read: () => (on.checked ? inside.read() : absent), mark: inside.mark };
}

function objectField(schema, root, value, label, top) {
  const required = new Set(schema.required ?? []);
  const parts = Object.entries(schema.properties).map(([name, part]) => {
    const inner = resolved(part, root);
    const given = value?.[name] !== undefined ? value[name] : inner.default;
    const plain = required.has(name) || (inner.default !== undefined && !nullable(inner));
    const made = plain
      ? field(part, root, given, name)
      : optionalField(single(inner), root, given, name, undefined);
    return [name, made];
  });
  const nodes = parts.map(([, part]) => part.node);
  const said = element("p", { className: "wrong", hidden: true });
  const legend = top ? [] : [element("legend", {}, title(schema, label))];
  const node = element(top ? "div" : "fieldset", {}, ...legend, ...nodes, said);
  const read = () => {
    const made = {};
    for (const [name, part] of parts) {
      const read = part.read();
      if (read !== undefined) made[name] = read;
    }
    return made;
  };
  const own = marking(said, null);
  const mark = (path, message) => {
    if (!message) parts.forEach(([, part]) => part.mark([], ""));
    const found = parts.find(([name]) => name === path[0]);
    return found ? found[1].mark(path.slice(1), message) : own([], [...path, message].join(": "));
  };
  return { node, read, mark };
}

function listField(schema, root, value, label) {
  const items = element("div", { className: "items" });
  const rows = [];
  const add = (given) => {
    const part = field(schema.items, root, given, `${title(schema, label)} ${rows.length + 1}`);
    const remove = element("button", { type: "button", className: "remove", title: "Remove" }, "×");
    remove.setAttribute("aria-label", "Remove this one");
    const row = element("div", { className: "row" }, part.node, remove);
    const entry = { part, row };
    remove.addEventListener("click", () => {
      rows.splice(rows.indexOf(entry), 1);
      row.remove();
    });
    rows.push(entry);
    items.append(row);
  };
  (Array.isArray(value) ? value : []).slice(0, 50).forEach(add);
  const more = element("button", { type: "button", className: "secondary" }, "Add");
  more.addEventListener("click", () => add(undefined));
  const said = element("p", { className: "wrong", hidden: true });
  const node = element("fieldset", {}, element("legend", {}, title(schema, label)), items, more, said);
  const own = marking(said, null);
  const mark = (path, message) => {
    if (!message) rows.forEach(({ part }) => part.mark([], ""));
    const row = rows[path[0]];
    return row ? row.part.mark(path.slice(1), message) : own([], [...path, message].join(": "));
  };
  return { node, read: () => rows.map(({ part }) => part.read()), mark };
}

function variants(schema) {
  if (Array.isArray(schema.type)) return schema.type.map((type) => ({ ...schema, type }));
  return schema.anyOf ?? schema.oneOf;
}

/** A schema that may also be null, without the null where that leaves one form. */
function single(schema) {
  const parts = (variants(schema) ?? []).filter((part) => part.type !== "null");
  return parts.length === 1 ? { description: schema.description, ...parts[0] } : schema;
}

const nullable = (schema) => (variants(schema) ?? []).some((part) => part.type === "null");

function fits(schema, root, value) {
  const { type, enum: values, const: only } = resolved(schema, root);
  if (values) return values.includes(value);
  if (only !== undefined) return value === only;
  if (type === "array") return Array.isArray(value);
  if (type === "integer") return Number.isInteger(value);
  if (type === "null") return value === null;
  if (type === "object") return typeof value === "object" && value !== null && !Array.isArray(value);
  return typeof value === type;
}

function unionField(schema, root, value, label) {
  const parts = variants(schema).filter((part) => part.type !== "null");
  if (parts.length === 1) {
    return optionalField(single(schema), root, value, label, null);
  }
  if (!parts.length) return jsonField(schema, value ?? null, label);
  const chosen = Math.max(0, parts.findIndex((part) => fits(part, root, value)));
  const select = element("select", { className: "variant" });
  select.setAttribute("aria-label", `kind of ${title(schema, label)}`);
  parts.forEach((part, i) => {
    const inner = resolved(part, root);
    const name = inner.title ?? (inner.type === "array" ? "list" : inner.type) ?? `form ${i + 1}`;
    select.append(element("option", { value: String(i), selected: i === chosen }, name));
  });
  const place = element("div");
  let inside;
  const show = () => {
    const given = fits(parts[select.value], root, value) ? value : undefined;
    inside = field(parts[select.value], root, given, label);
    place.replaceChildren(inside.node);
  };
  select.addEventListener("change", show);
  show();
  const node = element("div", { className: "union" }, select, place);
  return { node, read: () => inside.read(), mark: (path, said) => inside.mark(path, said) };
}

function scalar(schema, root) {
  const inner = resolved(schema, root);
  return inner.enum || ["string", "integer", "number", "boolean"].includes(inner.type);
}

/** The form of `schema`, filled with `value`. `read()` gives the value or throws a `Problem`;
 * `mark(path, message)` shows what is wrong with a part. */
export function field(schema, root, value, label, top = false) {
  schema = resolved(schema, root);
  if (schema.enum || schema.const !== undefined) return choiceField(schema, value, label);
  if (variants(schema)) return unionField(schema, root, value, label);
  switch (schema.type) {
    case "object":
      if (schema.properties) return objectField(schema, root, value, label, top);
      break;
    case "array": {
      const items = resolved(schema.items, root);
      const simple = scalar(items, root) && items.type !== "number" && items.type !== "integer";
      if (simple || (items.type === "object" && items.properties)) {
        return listField(schema, root, value, label);
      }
      break; // numbers are written faster as JSON
    }
    case "string": return textField(schema, value, label);
    case "integer": case "number": return numberField(schema, value, label);
    case "boolean": return switchField(schema, value, label);
    default:
  }
  return jsonField(schema, value, label);
}

/** A file, for inputs that are bytes or pictures. */
export function fileField(media) {
  const input = element("input", { type: "file", accept: media.startsWith("image/") ? "image/*" : "" });
  const preview = element("img", { alt: "The chosen picture", className: "picture", hidden: true });
  input.addEventListener("change", () => {
    const file = input.files[0];
    preview.hidden = !file?.type.startsWith("image/");
    if (!preview.hidden) preview.src = URL.createObjectURL(file);
  });
  const { node, said } = labelled(media.startsWith("image/") ? "Picture" : "File", "sent as it is", input);
  node.append(preview);
  const read = () => {
    if (!input.files[0]) throw new Problem("Choose a file.");
    return input.files[0];
  };
  return { node, read, mark: marking(said, input) };
}
