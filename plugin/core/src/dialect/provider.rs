//! Whose servers a host names, and the region it binds inference to.
//!
//! Must not know: paths, dialects.

/// Where a host binds inference to, as far as that changes prices: the region of OpenAI's data residency hosts
/// (`eu.api.openai.com`); `regional` for Vertex, whose global endpoint has no region in its name.
#[must_use]
pub(super) fn region_of_host(host: &str) -> Option<&'static str> {
    let host = host.split(':').next().unwrap_or(host).to_ascii_lowercase();
    let (first, rest) = host.split_once('.')?;
    let is_vertex = match rest {
        "googleapis.com" => first.ends_with("-aiplatform"),
        _ => first == "aiplatform" && rest.ends_with(".rep.googleapis.com"),
    };
    if is_vertex {
        return Some("regional");
    }
    let regions = ["us", "eu", "ae", "au", "ca", "gb", "in", "jp", "kr", "sg"];
    regions.into_iter().find(|region| rest == "api.openai.com" && *region == first)
}

/// The port that a host names.
pub(super) fn port_of(host: &str) -> Option<&str> {
    host.rsplit_once(':').map(|(_, port)| port)
}

/// The provider that serves a host (OTel `gen_ai.provider.name`); `None` for a host nobody is known to own.
pub(super) fn provider_of_host(host: &str) -> Option<&'static str> {
    // A dot at the end names the same host.
    let host = host.split(':').next().unwrap_or(host).trim_end_matches('.').to_ascii_lowercase();
    // Behind the service come region and, for private links, more: `bedrock-runtime.us-east-1.amazonaws.com`.
    let is_amazon = [".amazonaws.com", ".amazonaws.com.cn", ".api.aws"].iter().any(|end| host.ends_with(end));
    let is_bedrock = |label| ["bedrock-runtime", "bedrock-runtime-fips", "bedrock-mantle"].contains(&label);
    if is_amazon && host.split('.').any(is_bedrock) {
        return Some("aws.bedrock");
    }
    // `us-east5-aiplatform`, `aiplatform`, `aiplatform.eu.rep`.
    let google = host.strip_suffix(".googleapis.com").and_then(|rest| rest.split('.').next());
    if google.is_some_and(|label| label == "aiplatform" || label.ends_with("-aiplatform")) {
        return Some("gcp.vertex_ai");
    }
    [
        ("api.openai.com", "openai"),
        ("api.anthropic.com", "anthropic"),
        ("openai.azure.com", "azure.ai.openai"),
        ("services.ai.azure.com", "azure.ai.inference"),
        ("openrouter.ai", "openrouter"),
        ("api.groq.com", "groq"),
        ("api.x.ai", "x_ai"),
        ("api.deepseek.com", "deepseek"),
        ("api.mistral.ai", "mistral_ai"),
        ("api.perplexity.ai", "perplexity"),
        ("api.together.xyz", "together"),
        ("api.together.ai", "together"),
        ("api.cerebras.ai", "cerebras"),
        ("api.avian.io", "avian"),
        ("api.z.ai", "zai"),
        ("api.moonshot.ai", "moonshot_ai"),
        ("api.fireworks.ai", "fireworks"),
        ("ai-gateway.vercel.sh", "vercel"),
        ("generativelanguage.googleapis.com", "gcp.gemini"),
        ("aiplatform.googleapis.com", "gcp.vertex_ai"),
        ("api.cohere.com", "cohere"),
        ("api.cohere.ai", "cohere"),
        ("api.voyageai.com", "voyageai"),
        ("router.huggingface.co", "huggingface"),
    ]
    .into_iter()
    .find_map(|(known, provider)| {
        let rest = host.strip_suffix(known)?;
        (rest.is_empty() || rest.ends_with('.')).then_some(provider)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::price::{Lookup, PriceBook, Terms};
    use crate::time::Timestamp;

    #[test]
    fn hosts_that_bind_inference_have_a_region() {
        for (host, region) in [
            ("eu.api.openai.com", Some("eu")),
            ("US.api.openai.com:443", Some("us")),
            ("api.openai.com", None),
            ("eu.api.openai.com.evil.example", None),
            ("xx.api.openai.com", None),
            ("us-east5-aiplatform.googleapis.com", Some("regional")),
            ("aiplatform.eu.rep.googleapis.com", Some("regional")),
            ("aiplatform.googleapis.com", None),
            ("generativelanguage.googleapis.com", None),
        ] {
            assert_eq!(region_of_host(host), region, "{host}");
        }
    }

    #[test]
    fn a_host_is_its_providers_or_a_subdomain_of_it() {
        for (host, provider) in [
            ("api.cerebras.ai:443", Some("cerebras")),
            ("made-up.openai.azure.com", Some("azure.ai.openai")),
            ("bedrock-runtime.eu-central-1.amazonaws.com", Some("aws.bedrock")),
            ("vpce-1.bedrock-runtime.us-east-1.vpce.amazonaws.com:443", Some("aws.bedrock")),
            ("bedrock-mantle.us-east-1.api.aws", Some("aws.bedrock")),
            ("bedrock-runtime.us-east-1.amazonaws.com.evil.example", None),
            ("us-east5-aiplatform.googleapis.com", Some("gcp.vertex_ai")),
            ("aiplatform.eu.rep.googleapis.com", Some("gcp.vertex_ai")),
            ("notapi.openai.com", None),
            ("llm.internal", None),
            ("europe-west4-aiplatform.googleapis.com", Some("gcp.vertex_ai")),
            ("aiplatform.eu.rep.googleapis.com", Some("gcp.vertex_ai")),
            ("aiplatform.googleapis.com", Some("gcp.vertex_ai")),
            ("notaiplatform.googleapis.com", None),
            ("api.voyageai.com", Some("voyageai")),
            ("API.openai.com.:443", Some("openai")),
        ] {
            assert_eq!(provider_of_host(host), provider, "{host}");
        }
    }

    #[test]
    fn a_model_that_several_providers_serve_is_priced_at_the_one_that_is_asked() {
        let price = |provider| {
            let model = "gpt-oss-120b";
            let lookup = Lookup { provider, model, alias: None, at: Timestamp::default(), terms: Terms::default() };
            PriceBook::builtin().quote(&lookup).map(|quote| quote.provider().map(str::to_owned))
        };
        assert_eq!(price(provider_of_host("api.cerebras.ai")), Ok(Some("cerebras".to_owned())));
    }
}
