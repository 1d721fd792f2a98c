//! What the agent does, step by step: which tool it calls, with what, and what the tool returns.
//!
//! Tool results are tables as a warehouse would return them, made from a fixed seed. They are what makes the history grow.
//! Invariant: the same on every run. Must not know: wire formats.

use serde_json::{Value, json};

use crate::standin::{Answer, ToolCall};

/// The agent's instructions.
pub const SYSTEM: &str = include_str!("texts/system.md");
/// What the user asked.
pub const QUESTION: &str = include_str!("texts/question.md");
/// The answer of the last step.
pub const FINAL: &str = include_str!("texts/final.md");

/// The tools on offer: `name`, `description` and `parameters` each.
#[must_use]
pub fn tools() -> Vec<Value> {
    serde_json::from_str(include_str!("texts/tools.json")).unwrap_or_default()
}

/// Worked examples shown before the question: `user` and `assistant` text each.
#[must_use]
pub fn examples() -> Vec<(String, String)> {
    let examples: Vec<Value> = serde_json::from_str(include_str!("texts/examples.json")).unwrap_or_default();
    let text = |example: &Value, who: &str| example[who].as_str().unwrap_or_default().to_owned();
    examples.iter().map(|example| (text(example, "user"), text(example, "assistant"))).collect()
}

/// One step that ends in a tool call.
#[derive(Clone, Debug)]
pub struct Step {
    /// What the model says before the call.
    pub thought: &'static str,
    /// The call.
    pub call: ToolCall,
    /// What the tool returns.
    pub result: String,
}

/// How many calls of the model the task takes: every tool call, and the answer.
#[must_use]
pub fn length() -> usize {
    steps().len() + 1
}

/// The model's answer once it has seen this many tool results.
#[must_use]
pub fn answer(tool_results: usize) -> Answer {
    match steps().into_iter().nth(tool_results) {
        Some(step) => Answer { text: step.thought.to_owned(), tool_call: Some(step.call), ..Answer::default() },
        None => Answer { text: FINAL.trim().to_owned(), ..Answer::default() },
    }
}

/// The fourteen steps with a tool call.
#[must_use]
pub fn steps() -> Vec<Step> {
    let month = ["2025-07", "2025-08", "2025-09", "2026-07", "2026-08", "2026-09"];
    let mut number = 0;
    let mut step = |thought, name: &str, arguments: Value, result: String| {
        number += 1;
        let call = ToolCall { id: format!("call_step_{number:02}"), name: name.to_owned(), arguments };
        Step { thought, call, result }
    };
    let sql = |query: &str, purpose: &str| json!({"query": query, "purpose": purpose});
    vec![
        step(
            "First I look which tables of the sales schema can carry this question.",
            "list_tables",
            json!({"schema": "sales"}),
            table(1, &["table", "rows", "newest", "comment_id"], 60),
        ),
        step(
            "The order lines carry revenue and cost; I read their columns before querying them.",
            "describe_table",
            json!({"table": "sales.orders", "with_examples": true}),
            table(2, &["column", "missing_share", "distinct", "example_1", "example_2"], 70),
        ),
        step(
            "Now revenue and contribution margin by month and country for both quarters, without the shop in Graz.",
            "run_sql",
            sql(
                "select date_trunc('month', shipped_at at time zone 'Europe/Berlin') as month, country, sum(amount_eur) as gross, \
                 sum(amount_eur) - sum(cogs_eur) - sum(payment_fee_eur) as margin_before_freight from sales.orders where category = \
                 'footwear' and country in ('DE', 'AT') and shop <> 'graz-outlet' group by 1, 2 order by 1, 2",
                "Revenue and margin before freight by month and country.",
            ),
            table(3, &["month", "country", "gross", "cogs", "payment_fee", "margin_before_freight"], 90),
        ),
        step(
            "The margin falls in all three months. I split it by model group to see whether it is everywhere.",
            "run_sql",
            sql(
                "select model_group, date_trunc('quarter', shipped_at) as quarter, sum(amount_eur) as gross, sum(cogs_eur) as cogs, \
                 count(distinct order_no) as orders from sales.orders where category = 'footwear' and country in ('DE', 'AT') \
                 group by 1, 2 having count(distinct order_no) >= 100 order by 3 desc",
                "Margin by model group, groups of at least 100 orders.",
            ),
            table(4, &["model_group", "quarter", "gross", "cogs", "orders"], 120),
        ),
        step(
            "Two boot groups stand out. Returns are the contested number, so I read that table's description first.",
            "describe_table",
            json!({"table": "logistics.returns", "with_examples": true}),
            table(5, &["column", "missing_share", "distinct", "example_1", "example_2"], 70),
        ),
        step(
            "Return rate by month of shipping within sixty days, for the two groups and for the rest.",
            "run_sql",
            sql(
                "select date_trunc('month', o.shipped_at) as month, o.model_group in ('alpin-2', 'grat-3') as new_last, count(*) as \
                 units, count(r.unit_id) as returned from sales.orders o left join logistics.returns r on r.unit_id = o.unit_id and \
                 r.arrived_at < o.shipped_at + interval '60 days' where o.category = 'footwear' group by 1, 2 order by 1, 2",
                "Return rate as finance defines it.",
            ),
            table(6, &["month", "new_last", "units", "returned"], 100),
        ),
        step(
            "The rise sits in the new last. Which reasons do customers give?",
            "run_sql",
            sql(
                "select reason_code, model_group, count(*) as units from logistics.returns where arrived_at >= '2026-07-01' and \
                 category = 'footwear' group by 1, 2 order by 3 desc",
                "Return reasons of the quarter by model group.",
            ),
            table(7, &["reason_code", "model_group", "units", "share"], 130),
        ),
        step(
            "Sizing dominates. I look for what was written about the new last and about freight prices.",
            "search_documents",
            json!({"query": "new last boots sizing returns carrier price per return", "from_date": "2026-05-01", "limit": 6}),
            table(8, &["document", "date", "author_group", "passage"], 80),
        ),
        step(
            "The carrier's price rose in July. I add freight per shipment and per return by month.",
            "run_sql",
            sql(
                "select date_trunc('month', s.shipped_at) as month, s.country, sum(s.freight_eur) as outbound, sum(s.return_freight_eur) \
                 as inbound, count(distinct s.order_no) as orders from logistics.shipments s join sales.orders o using (order_no) where \
                 o.category = 'footwear' group by 1, 2 order by 1, 2",
                "Freight in both directions.",
            ),
            table(9, &["month", "country", "outbound", "inbound", "orders"], 110),
        ),
        step(
            "Cost of goods next: quantities, dollar prices and the rate actually paid per delivery.",
            "run_sql",
            sql(
                "select delivery_no, arrived_on, units, unit_cost_usd, paid_rate, planned_rate from finance.deliveries where category = \
                 'footwear' and arrived_on between '2025-06-01' and '2026-09-30' order by 2",
                "Deliveries with paid and planned exchange rate.",
            ),
            table(10, &["delivery_no", "arrived_on", "units", "unit_cost_usd", "paid_rate", "planned_rate"], 110),
        ),
        step(
            "Discounts: the sale began earlier this year, so I align both years by days since its start.",
            "run_sql",
            sql(
                "select day_of_sale, year, sum(list_eur - amount_eur) as discount, sum(amount_eur) as gross from sales.orders_with_sale \
                 where category = 'footwear' and country in ('DE', 'AT') group by 1, 2 order by 1, 2",
                "Discount by day of the sale, both years.",
            ),
            table(11, &["day_of_sale", "year", "discount", "gross"], 140),
        ),
        step(
            "Now I put the parts together and check that they sum to the change of the margin.",
            "run_python",
            json!({"code": "import pandas as pd\nparts = bridge(q1, q2, q4, q5, q6)\nprint(parts.round(0).to_csv())\nassert abs(parts['delta'].sum() - total_delta) < 500"}),
            table(12, &["part", "delta", "lower", "upper"], 60),
        ),
        step(
            "The bridge closes. I test how much the open returns of September could move it.",
            "run_python",
            json!({"code": "from scipy import stats\nfor share in (0.0, 0.25, 0.5, 0.75, 1.0):\n    print(share, simulate_open_returns(q3, share, draws=2000).round(0).to_dict())"}),
            table(13, &["share", "mean", "p05", "p50", "p95"], 90),
        ),
        step(
            "Last, stock and the current rate of sale of the two boots, for the outlook on the fourth quarter.",
            "run_sql",
            sql(
                "select day, model_group, sum(units) as stock, sum(units_sold_7d) / 7.0 as per_day from logistics.stock_levels where \
                 model_group in ('alpin-2', 'grat-3') and day >= '2026-09-01' group by 1, 2 order by 1, 2",
                "When the two models sell out.",
            ),
            format!(
                "{}\nmonths compared: {}\n",
                table(14, &["day", "model_group", "stock", "per_day"], 120),
                month.join(", ")
            ),
        ),
    ]
}

/// A CSV table of plausible numbers from a seed.
#[must_use]
pub fn table(seed: u64, columns: &[&str], rows: usize) -> String {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut text = columns.join(",");
    for row in 0..rows {
        text.push('\n');
        for (index, _) in columns.iter().enumerate() {
            if index == 0 {
                text.push_str(&format!("2026-{:02}-{:02}/{row}", 1 + next(12), 1 + next(28)));
            } else {
                text.push_str(&format!(",{}.{:02}", next(90_000), next(100)));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::standin::tokens::count;

    #[test]
    fn the_fixed_part_of_the_prompt_has_about_3_100_tokens() {
        let tools: u64 = tools().iter().map(|tool| count(&tool.to_string())).sum();
        let examples: u64 = examples().iter().map(|(user, assistant)| count(user) + count(assistant)).sum();
        let fixed = count(SYSTEM) + tools + examples;
        assert!((3_000..3_200).contains(&fixed), "{} + {tools} + {examples} = {fixed}", count(SYSTEM));
    }

    #[test]
    fn the_task_takes_fifteen_calls_and_the_same_on_every_run() {
        assert_eq!(length(), 15);
        assert_eq!(tools().len(), 8);
        let results = || steps().into_iter().map(|step| step.result).collect::<String>();
        assert_eq!(results(), results());
    }
}
