-- Does the view `focus` conform? One row for each requirement of FOCUS 1.2 that it breaks, and none when all is well: which
-- column, what is wrong, how many rows. Run it on any FOCUS dataset that is called `focus`.
WITH required(name, type, nullable) AS (
    -- The mandatory columns, and the conditional and recommended ones that this dataset has.
    VALUES
        ('BilledCost', 'DECIMAL', false), ('BillingAccountId', 'VARCHAR', false), ('BillingAccountName', 'VARCHAR', true),
        ('BillingCurrency', 'VARCHAR', false), ('BillingPeriodEnd', 'TIMESTAMP', false),
        ('BillingPeriodStart', 'TIMESTAMP', false), ('ChargeCategory', 'VARCHAR', false), ('ChargeClass', 'VARCHAR', true),
        ('ChargeDescription', 'VARCHAR', true), ('ChargePeriodEnd', 'TIMESTAMP', false),
        ('ChargePeriodStart', 'TIMESTAMP', false), ('ContractedCost', 'DECIMAL', false), ('EffectiveCost', 'DECIMAL', false),
        ('InvoiceIssuerName', 'VARCHAR', false), ('ListCost', 'DECIMAL', false), ('PricingQuantity', 'DECIMAL', true),
        ('PricingUnit', 'VARCHAR', true), ('ProviderName', 'VARCHAR', false), ('PublisherName', 'VARCHAR', false),
        ('ServiceCategory', 'VARCHAR', false), ('ServiceName', 'VARCHAR', false),
        ('ChargeFrequency', 'VARCHAR', false), ('ConsumedQuantity', 'DECIMAL', true), ('ConsumedUnit', 'VARCHAR', true),
        ('PricingCategory', 'VARCHAR', true), ('ServiceSubcategory', 'VARCHAR', false), ('SkuId', 'VARCHAR', true),
        ('SkuMeter', 'VARCHAR', true), ('SubAccountId', 'VARCHAR', true), ('SubAccountName', 'VARCHAR', true),
        ('Tags', 'JSON', true)
),
columns AS (
    SELECT column_name AS name, regexp_extract(data_type, '^\w+') AS type
    FROM duckdb_columns()
    WHERE table_name = 'focus'
),
nulls AS (
    UNPIVOT (SELECT count(*) - count(COLUMNS(*)) FROM focus) ON COLUMNS(*) INTO NAME name VALUE rows
)
SELECT name AS "column", 'is missing' AS problem, NULL AS rows
FROM required ANTI JOIN columns USING (name)
UNION ALL
SELECT name, 'has type ' || columns.type || ', not ' || required.type, NULL
FROM required JOIN columns USING (name)
WHERE columns.type <> required.type
UNION ALL
SELECT name, 'is no FOCUS column and lacks the prefix x_', NULL
FROM columns ANTI JOIN required USING (name)
WHERE NOT starts_with(name, 'x_')
UNION ALL
SELECT name, 'is null', rows
FROM required JOIN nulls USING (name)
WHERE NOT nullable AND rows > 0
UNION ALL
SELECT broken.name, broken.problem, count(*)
FROM focus, LATERAL (
    VALUES
        ('BillingCurrency', 'is no ISO 4217 code', NOT regexp_full_match(BillingCurrency, '[A-Z]{3}')),
        ('ChargeCategory', 'is not an allowed value',
            ChargeCategory NOT IN ('Usage', 'Purchase', 'Tax', 'Credit', 'Adjustment')),
        ('ChargeClass', 'is not an allowed value', ChargeClass <> 'Correction'),
        ('ChargeFrequency', 'is not an allowed value', ChargeFrequency NOT IN ('One-Time', 'Recurring', 'Usage-Based')),
        ('PricingCategory', 'is not an allowed value',
            PricingCategory NOT IN ('Standard', 'Dynamic', 'Committed', 'Other')),
        ('ServiceCategory', 'is not an allowed value',
            ServiceCategory NOT IN ('AI and Machine Learning', 'Analytics', 'Business Applications', 'Compute', 'Databases',
                'Developer Tools', 'Multicloud', 'Identity', 'Integration', 'Internet of Things',
                'Management and Governance', 'Media', 'Migration', 'Mobile', 'Networking', 'Security', 'Storage', 'Web',
                'Other')),
        ('ServiceSubcategory', 'is not one of its category',
            ServiceCategory = 'AI and Machine Learning' AND ServiceSubcategory NOT IN ('AI Platforms', 'Bots',
                'Generative AI', 'Machine Learning', 'Natural Language Processing', 'Other (AI and Machine Learning)')),
        ('PricingQuantity', 'is null for usage', ChargeCategory = 'Usage' AND ChargeClass IS NULL AND PricingQuantity IS NULL),
        ('PricingUnit', 'is null, or not null, where the quantity is not', (PricingUnit IS NULL) <> (PricingQuantity IS NULL)),
        ('ConsumedQuantity', 'is null for usage',
            ChargeCategory = 'Usage' AND ChargeClass IS NULL AND ConsumedQuantity IS NULL),
        ('ConsumedUnit', 'is null, or not null, where the quantity is not',
            (ConsumedUnit IS NULL) <> (ConsumedQuantity IS NULL)),
        ('SkuId', 'is null for usage', ChargeCategory = 'Usage' AND ChargeClass IS NULL AND SkuId IS NULL),
        ('ChargePeriodEnd', 'is not after the start', ChargePeriodEnd <= ChargePeriodStart),
        ('BillingPeriodEnd', 'is not after the start', BillingPeriodEnd <= BillingPeriodStart),
        ('ChargePeriodStart', 'is outside of the billing period',
            ChargePeriodStart < BillingPeriodStart OR ChargePeriodEnd > BillingPeriodEnd),
        ('Tags', 'is no object of values', json_type(Tags) <> 'OBJECT')
) AS broken(name, problem, is_so)
WHERE broken.is_so
GROUP BY ALL
ORDER BY ALL;
