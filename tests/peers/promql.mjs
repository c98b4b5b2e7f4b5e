// Prometheus' own grammar of PromQL over expressions:  node promql.mjs < JSON list of expressions
//
// Prints JSON, one object for each: whether it is well-formed, the metrics that it selects with its matchers as
// [label, operator, value], and the labels that it groups by, joins on or reads out of a sample.
import { parser } from '@prometheus-io/lezer-promql';

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const expressions = JSON.parse(Buffer.concat(chunks).toString());

function look(expression) {
  const found = { expression, ok: true, selects: [], groups: [] };
  const text = (node) => expression.slice(node.from, node.to);
  parser.parse(expression).iterate({
    enter(node) {
      if (node.type.isError) found.ok = false;
      if (node.name === 'VectorSelector') {
        const selected = { metric: null, matchers: [] };
        node.node.cursor().iterate((inner) => {
          if (inner.name === 'Identifier' && selected.metric === null) selected.metric = text(inner);
          if (inner.name === 'UnquotedLabelMatcher' || inner.name === 'LabelMatcher') {
            const [, label, operator, value] = /^\s*(\w+)\s*(=~|!~|!=|=)\s*"(.*)"\s*$/s.exec(text(inner)) ?? [];
            if (label === undefined) found.ok = false;
            else selected.matchers.push([label, operator, value]);
          }
        });
        found.selects.push(selected);
      }
      if (node.name === 'GroupingLabels') {
        node.node.cursor().iterate((inner) => {
          if (inner.name === 'LabelName') found.groups.push(text(inner));
        });
      }
    },
  });
  return found;
}

console.log(JSON.stringify(expressions.map(look)));
